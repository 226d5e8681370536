// The page in the iframe: redeems its ticket once, holds the session, shows who is signed in.
// The token lives in a partitioned cookie or in this script's memory, never in web storage.
(() => {
  "use strict";

  const root = document.documentElement;
  if (root.dataset.guarita) return; // included twice: one redeem per load
  root.dataset.guarita = "started";

  const ticket = takeTicket();
  const attempt = makeAttempt();
  const parentOrigin = findParentOrigin();

  const REQUEST_TIMEOUT_MS = 15_000; // longer than the service's own deadline of 10 s
  const PATIENCE_MS = 1_500; // a shorter wait is not worth a word
  const FIRST_PAUSE_MS = 500;
  const LONGEST_PAUSE_MS = 8_000;
  const RECHECK_MS = 30_000;
  const LONGEST_TIMER_MS = 2 ** 31 - 1; // setTimeout fires at once beyond it

  let session = null; // {subject, expiresAt, token}; token is null when a cookie holds it
  let lastMessage = null;
  let busy = false;
  let recheckTimer = 0;

  class Refused extends Error {
    constructor(reason) {
      super(reason);
      this.reason = reason;
    }
  }

  // --- the ticket ---------------------------------------------------------------------------

  function takeTicket() {
    const found = new URLSearchParams(location.search).get("session_id");
    history.replaceState(null, "", location.pathname);
    return found;
  }

  function makeAttempt() {
    const bytes = crypto.getRandomValues(new Uint8Array(24));
    return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
  }

  async function redeem() {
    const answer = await ask("/auth/redeem", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ session_id: ticket, attempt, cookie: true }),
    });
    if (answer.status === 401) throw new Refused("used");
    const { subject, expires_at: expiresAt, session_token: token } = accepted(answer);
    const kept = await cookieSession();
    const isOurs = kept !== null && kept.expiresAt === expiresAt && kept.subject === subject;
    return isOurs ? kept : { subject, expiresAt, token };
  }

  // What the browser's own cookie proves: asked without a token, it tells whether it was kept.
  async function cookieSession() {
    const answer = await ask("/auth/verify", {});
    if (answer.status === 401) return null;
    const { subject, expires_at: expiresAt } = accepted(answer);
    return { subject, expiresAt, token: null };
  }

  async function signIn() {
    const found = ticket === null ? await cookieSession() : await redeem();
    if (found === null) throw new Refused("no-ticket");
    return found;
  }

  // --- asking the service -------------------------------------------------------------------

  // Asks until there is an answer that another try would not change: a redeem carries the same
  // attempt each time, so a reply that was lost on the way costs nothing.
  async function ask(path, request) {
    for (let tries = 0; ; tries += 1) {
      const answer = await askOnce(path, request);
      if (answer !== null && answer.status < 500 && answer.status !== 429) return answer;
      showWaiting();
      await pause(tries, answer?.retryAfterMs ?? 0);
    }
  }

  async function askOnce(path, request) {
    try {
      const response = await fetch(path, {
        ...request,
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error",
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      const isJson = /^application\/(problem\+)?json/.test(response.headers.get("Content-Type"));
      const body = isJson ? await response.json() : {};
      const seconds = Number(response.headers.get("Retry-After")) || 0;
      return { status: response.status, body, retryAfterMs: body.retry_after_ms ?? seconds * 1000 };
    } catch {
      return null; // unreachable, cut off or too slow
    }
  }

  function accepted(answer) {
    if (answer.status === 200) return answer.body;
    throw new Refused(answer.status === 403 ? "forbidden" : "failed");
  }

  // At least what the service says; the jitter keeps a crowd from coming back as one.
  function pause(tries, retryAfterMs) {
    const backoffMs = Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS);
    const delayMs = Math.max(retryAfterMs, backoffMs / 2) + (Math.random() * backoffMs) / 2;
    return new Promise((resolve) => setTimeout(resolve, Math.min(delayMs, LONGEST_TIMER_MS)));
  }

  function withSession() {
    return session.token ? { headers: { Authorization: `Bearer ${session.token}` } } : {};
  }

  // The protected content; only the demo has some. Raises `Refused` once the session has ended.
  async function loadGreeting() {
    const verified = await ask("/auth/verify", withSession());
    if (verified.status === 401) throw new Refused("ended");
    accepted(verified);
    const content = await ask("/demo/content", withSession());
    if (content.status === 401) throw new Refused("ended");
    return content.status === 404 ? "" : accepted(content).greeting;
  }

  // --- what the visitor sees ----------------------------------------------------------------

  function text(name) {
    return document.querySelector("#texts").content.querySelector(`[data-for="${name}"]`);
  }

  function show(state, name = state) {
    const status = document.querySelector("#status");
    status.replaceChildren(...text(name).cloneNode(true).childNodes);
    document.querySelector("#greeting").hidden = true;
    root.dataset.state = state;
    return (slot) => status.querySelector(`[data-slot="${slot}"]`);
  }

  let askedSince = 0;
  let clock = 0;

  function startClock() {
    askedSince = performance.now();
    clock = setInterval(() => {
      const elapsedMs = performance.now() - askedSince;
      if (root.dataset.state === "opening" && elapsedMs >= PATIENCE_MS) showWaiting();
      const seconds = document.querySelector('#status [data-slot="seconds"]');
      if (seconds) seconds.textContent = Math.round(elapsedMs / 1000);
    }, 250);
  }

  function showWaiting() {
    if (root.dataset.state === "waiting") return;
    const seconds = Math.round((performance.now() - askedSince) / 1000);
    show("waiting")("seconds").textContent = seconds;
    tell("guarita:waiting");
  }

  function showSignedIn(greeting) {
    const slot = show("signed-in");
    const until = new Date(session.expiresAt);
    if (session.subject) slot("subject").textContent = session.subject;
    slot("until").dateTime = session.expiresAt;
    slot("until").textContent = formatted(until);
    slot("held").textContent = text(session.token ? "held-memory" : "held-cookie").textContent;
    root.dataset.held = session.token ? "memory" : "cookie";
    document.querySelector("#greeting").textContent = greeting;
    document.querySelector("#greeting").hidden = !greeting;
    tell("guarita:signed-in");
    const leftMs = Math.max(until - Date.now(), RECHECK_MS);
    recheckTimer = setTimeout(run, Math.min(leftMs, LONGEST_TIMER_MS));
  }

  function formatted(date) {
    const isToday = date.toDateString() === new Date().toDateString();
    const style = isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
    return new Intl.DateTimeFormat(root.lang, style).format(date);
  }

  // --- the page around the frame ------------------------------------------------------------

  function findParentOrigin() {
    if (window.parent === window) return null;
    const known = location.ancestorOrigins?.[0] ?? document.referrer;
    const [origin] = known.match(/^https?:\/\/[^/]+/) ?? [null]; // not "null", which any page may be
    return origin;
  }

  function tell(type, details = {}) {
    lastMessage = { type, version: 1, ...details };
    if (parentOrigin !== null) window.parent.postMessage(lastMessage, parentOrigin);
  }

  function listen() {
    addEventListener("message", (event) => {
      if (parentOrigin === null || event.origin !== parentOrigin) return;
      if (event.source !== window.parent) return;
      if (event.data?.type !== "guarita:ask-state" || event.data.version !== 1) return;
      window.parent.postMessage(lastMessage, parentOrigin);
    });
    // Back from the browser's back-forward cache: the session may have ended in between.
    addEventListener("pageshow", (event) => {
      if (event.persisted && session) run();
    });
  }

  // --- the whole of it ----------------------------------------------------------------------

  async function run() {
    if (busy) return;
    busy = true;
    clearTimeout(recheckTimer);
    startClock();
    try {
      session ??= await signIn();
      showSignedIn(await loadGreeting());
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      session = null;
      show("refused", error.reason);
      tell("guarita:refused", { reason: error.reason });
    } finally {
      clearInterval(clock);
      busy = false;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    listen();
    tell("guarita:ready");
    run();
  });
})();
