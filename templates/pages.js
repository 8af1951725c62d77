// Renews the page without losing the place, and searches while a person types. The pages work without this script.
"use strict";

const REFRESH_MILLIS = 15000;
const TYPING_MILLIS = 250;
let latest = 0;

// Loads a page and replaces the element with this id. A later call makes an earlier one void.
async function replace(url, id) {
  const number = ++latest;
  let text;
  try {
    const response = await fetch(url, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!response.ok) return false;
    text = await response.text();
  } catch {
    return false;
  }
  // A later call shows a newer page.
  if (number !== latest) return true;
  const page = new DOMParser().parseFromString(text, "text/html");
  const fresh = page.getElementById(id);
  const old = document.getElementById(id);
  if (!fresh || !old) return false;
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  old.replaceWith(document.adoptNode(fresh));
  if (focused) {
    const links = [...document.getElementById(id).querySelectorAll("a[href]")];
    links.find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
  }
  const now = page.getElementById("now");
  if (now) document.getElementById("now").textContent = now.textContent;
  return true;
}

const form = document.querySelector("form[data-live]");

function searched() {
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value) fields.set(name, value);
  }
  const query = fields.toString();
  return query ? `${location.pathname}?${query}` : location.pathname;
}

if (form) {
  let timer;
  const search = () => {
    const url = searched();
    history.replaceState(null, "", url);
    replace(url, "results");
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, TYPING_MILLIS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    search();
  });
}

// Says that the page shows old data, until a renewal succeeds.
function warn(isRenewed) {
  const line = document.querySelector(".now");
  if (!line) return;
  line.classList.toggle("bad", !isRenewed);
  line.firstChild.textContent = isRenewed ? "as of " : "not renewed since ";
}

// The answer of the API to a button stays until the person leaves.
const isRenewed = !document.getElementById("answer");
setInterval(() => {
  const isSelecting = String(document.getSelection()) !== "";
  if (isRenewed && !document.hidden && !isSelecting) {
    replace(location.href, form ? "results" : "main").then(warn);
  }
}, REFRESH_MILLIS);
