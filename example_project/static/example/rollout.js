// Shows the percentage while the slider moves. Without this script, it is shown after "Apply".
const slider = document.getElementById("percent");
const share = document.getElementById("share");
slider.addEventListener("input", () => { share.value = slider.value; });
