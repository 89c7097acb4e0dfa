"""The site without the Web Adapter: each event is one WSGI request. See Mode in template.yaml."""

from apig_wsgi import make_lambda_handler
from mysite.wsgi import application

handler = make_lambda_handler(application)
