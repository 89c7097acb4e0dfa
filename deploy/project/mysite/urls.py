from django.urls import include, path

from mysite import views

urlpatterns = [
    path("", views.show_home),
    path("api/visits/", views.return_visits),
    path("api/greeting/", views.return_greeting),
    path("health/", include("continuum_upstash.urls")),
]
