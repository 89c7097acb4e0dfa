// Copy buttons, and what Furo's pages lack for keyboards and screen readers.
"use strict";

function addButton(block) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("pre").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  block.append(button);
}

function setAttributes(selector, attributes) {
  for (const element of document.querySelectorAll(selector)) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  }
}

document.addEventListener("DOMContentLoaded", () => {
  if (navigator.clipboard) {  // only with HTTPS, on localhost and in files
    document.querySelectorAll("div.highlight").forEach(addButton);
  }
  setAttributes("pre, .table-wrapper", { tabindex: "0" });  // they scroll in narrow windows
  setAttributes(".caption[role=heading]", { "aria-level": "2" });
  setAttributes(".sidebar-drawer", { "aria-label": "Pages" });
  setAttributes(".toc-drawer", { "aria-label": "Sections" });
  setAttributes(".content-icon-container", { role: "navigation", "aria-label": "Source" });
});
