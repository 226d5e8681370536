// The customer's page: asks its own backend for a ticket and shows the frame.
"use strict";

const serviceOrigin = document.body.dataset.serviceOrigin;
const place = document.querySelector("#place");
const texts = document.querySelector("#texts").content;
const hold = document.querySelector("#hold");
const started = performance.now();
let current = 0; // the ticket now wanted: the answer to an older wish is dropped

function text(name) {
  return texts.querySelector(`[data-for="${name}"]`);
}

function show(name) {
  place.replaceChildren(...text(name).cloneNode(true).children);
  place.dataset.state = name;
  return (selector) => place.querySelector(selector);
}

function note(name, detail = "") {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = `${((performance.now() - started) / 1000).toFixed(1)} s`;
  item.append(time, ` ${text(name).textContent} ${detail}`);
  document.querySelector("#steps").append(item);
}

// One key per ticket: however often it is asked for, the service makes one.
function makeKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function askForTicket(subject, key) {
  const mine = ++current;
  show("asking");
  note("step-create");
  const answer = await askBackend({ subject, key });
  if (mine !== current) return;
  if (answer.status === 200) {
    const { frame_url: frameUrl, tries, took_ms: tookMs } = answer.body;
    note("step-created", `(${tookMs} ms, ${text("step-tries").textContent}: ${tries})`);
    holdOrOpen(frameUrl);
  } else {
    note("step-failed", `(${answer.body.detail})`);
    showFailure(answer, () => askForTicket(subject, key));
  }
}

async function askBackend(wish) {
  try {
    const headers = { "Content-Type": "application/json" };
    const request = { method: "POST", headers, body: JSON.stringify(wish) };
    const response = await fetch("/ticket", request);
    return { status: response.status, body: await response.json() };
  } catch (error) {
    return { status: 0, body: { detail: error.name } };
  }
}

function showFailure(answer, retry) {
  if (answer.status === 400 || answer.status === 502) {
    show("refused")('[data-slot="detail"]').textContent = answer.body.detail;
  } else {
    show("unavailable")('[data-do="retry"]').addEventListener("click", retry);
  }
}

function holdOrOpen(frameUrl) {
  if (!hold.checked) return openFrame(frameUrl);
  show("held")('[data-do="open"]').addEventListener("click", () => openFrame(frameUrl));
}

function openFrame(frameUrl) {
  const frame = text("frame").querySelector("iframe").cloneNode();
  frame.src = frameUrl;
  frame.addEventListener("load", () => note("step-loaded"));
  place.replaceChildren(frame);
  place.dataset.state = "frame";
  note("step-frame");
}

addEventListener("message", (event) => {
  const frame = place.querySelector("iframe");
  if (event.origin !== serviceOrigin || event.source !== frame?.contentWindow) return;
  const { type, version, reason } = event.data ?? {};
  if (version !== 1 || typeof type !== "string") return;
  note("step-message", typeof reason === "string" ? `${type} (${reason})` : type);
});

document.querySelector("#sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  askForTicket(document.querySelector("#subject").value, makeKey());
});

hold.checked = location.hash === "#hold"; // for whoever wants to do something in between
askForTicket(document.querySelector("#subject").value, makeKey());
