// What every page does on top of its HTML; each part works without this too.

import { writeNumbers } from "./numbers.js";

// A choice by pointer counts at once; one by keyboard when it is left or Enter is pressed, for arrows pass by others.
function submitOnChange(field) {
  let typing = false;
  let changed = false;
  const submit = () => changed && field.form.requestSubmit();
  field.addEventListener("pointerdown", () => (typing = false));
  field.addEventListener("keydown", ({ key }) => {
    typing = true;
    if (key === "Enter" && field.tagName === "SELECT") submit();
  });
  field.addEventListener("change", () => {
    changed = true;
    if (!typing) submit();
  });
  field.addEventListener("blur", submit);
}

// The next page is on its way: this one says so, quietly.
function sayBusy() {
  const main = document.getElementById("main");
  const busy = () => main.setAttribute("aria-busy", "true");
  document.addEventListener("submit", busy);
  document.addEventListener("click", (event) => {
    if (event.target.closest(".pills a:not([href^='#']), .tabs a, thead a, .pages a") && !event.ctrlKey && !event.metaKey && !event.shiftKey) busy();
  });
  // A page that comes back from the browser's history is there again
  addEventListener("pageshow", () => main.removeAttribute("aria-busy"));
}

// A link to a view names only what was chosen.
function leaveOutEmpty(form) {
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
  });
}

function offerZone(select) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (select.dataset.chosen === "yes" || zone === select.value) return;
  if (![...select.options].some((option) => option.value === zone)) return;
  const offer = select.form.querySelector(".offer");
  offer.textContent = `Use ${zone.replaceAll("_", " ")}`;
  offer.addEventListener("click", () => (select.value = zone));
  offer.hidden = false;
}

function offerCopy(snippet) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Copy" });
  const said = Object.assign(document.createElement("span"), { className: "unseen", role: "status" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(snippet.querySelector("code").textContent);
      button.textContent = said.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(snippet.querySelector("code"));
      button.textContent = said.textContent = "Selected: press Ctrl C";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  snippet.append(button, said);
}

function closeOnLeave(details) {
  document.addEventListener("click", ({ target }) => details.contains(target) || (details.open = false));
  details.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    details.open = false;
    details.querySelector("summary").focus();
  });
}

writeNumbers(document);
document.querySelectorAll("[data-submits]").forEach(submitOnChange);
document.querySelectorAll("form[data-short]").forEach(leaveOutEmpty);
document.querySelectorAll("[data-chosen]").forEach(offerZone);
document.querySelectorAll(".snippet").forEach(offerCopy);
document.querySelectorAll("details.dates").forEach(closeOnLeave);
sayBusy();
