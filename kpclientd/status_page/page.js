"use strict";
// Asks the daemon for its state each second and shows it. Nothing is kept when the page is closed.

const ASK_MS = 1000;
const ASK_AGAIN_MS = 2000;
const ANSWER_MS = 5000;
const MOST_SAMPLES = 300;
const FEWEST_SECONDS = 60; // of the plot of what is in flight
const CLOCK_SECONDS = 2; // gateways tell whole seconds: a smaller difference may be none
const SIGMAS = 2; // 95 % of what chance does
const FEWEST_GAPS = 100;

const whole = new Intl.NumberFormat("en");
const byId = (id) => document.getElementById(id);

let token = new URLSearchParams(location.search).get("token") || "";
if (location.search) history.replaceState(null, "", location.pathname); // not into the history, nor onto the screen
let timer = 0;
let goneSince = null;
let present = null; // the state shown
let samples = []; // [seconds, messages in flight]

// -- words and numbers

function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = Math.max(0, units.findIndex(([size]) => s >= size));
  const [size, name] = s ? units[first] : units[3];
  const [smaller, below] = units[first + 1] || [];
  const rest = smaller && s ? Math.floor((s % size) / smaller) : 0;
  return `${Math.floor(s / size)} ${name}${rest ? ` ${rest} ${below}` : ""}`;
}

function short(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return `${seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds)} s`;
}

function bytes(number) {
  if (number < 1024) return `${number} B`;
  return number < 1048576 ? `${(number / 1024).toFixed(1)} KiB` : `${(number / 1048576).toFixed(1)} MiB`;
}

const many = (number, one, more) => `${whole.format(number)} ${number === 1 ? one : more}`;
const words = (name) => name.replaceAll("_", " ");
const clock = (date) => date.toTimeString().slice(0, 8);
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

function say(id, text) {
  const node = byId(id);
  if (node.textContent !== text) node.textContent = text || "\u00a0";
}

// -- drawing

function element(name, attributes = {}, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  return node;
}

class Plot {
  constructor(id, { left = 34, bottom = 18, top = 8, right = 2 } = {}) {
    this.svg = byId(id);
    const box = this.svg.getBoundingClientRect();
    this.width = Math.max(120, box.width);
    this.height = Math.max(40, box.height);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.x0 = left;
    this.x1 = this.width - right;
    this.y0 = this.height - bottom;
    this.y1 = top;
    this.parts = [];
  }

  add(name, attributes, text) {
    this.parts.push(element(name, attributes, text));
  }

  text(x, y, text, anchor = "middle", kind = "") {
    this.add("text", { x, y, "text-anchor": anchor, class: kind, "aria-hidden": "true" }, text);
  }

  x(share) {
    return this.x0 + share * (this.x1 - this.x0);
  }

  y(share) {
    return this.y0 - share * (this.y0 - this.y1);
  }

  // Horizontal lines at round values up to `most`.
  scale(most, unit = (value) => `${value}`) {
    const rough = most / 3;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    for (let value = 0; value <= most * 1.0001; value += step) {
      const y = this.y(value / most);
      this.add("line", { x1: this.x0, x2: this.x1, y1: y, y2: y, class: value ? "grid" : "axis" });
      this.text(this.x0 - 6, y + 4, unit(Number(value.toPrecision(6))), "end");
    }
  }

  bars(shares) {
    const width = (this.x1 - this.x0) / shares.length;
    shares.forEach((share, number) => {
      if (share <= 0) return;
      const height = Math.min(share, 1) * (this.y0 - this.y1);
      this.add("rect", {
        x: this.x0 + number * width + Math.min(1, width / 8),
        y: this.y0 - height,
        width: Math.max(1, width - Math.min(2, width / 4)),
        height,
        rx: Math.min(2, width / 4),
        class: "bar",
      });
    });
  }

  band(low, high) {
    const y = this.y(Math.min(1, high));
    this.add("rect", { x: this.x0, y, width: this.x1 - this.x0, height: this.y(Math.max(0, low)) - y, class: "band" });
  }

  expected(share) {
    this.add("line", { x1: this.x0, x2: this.x1, y1: this.y(share), y2: this.y(share), class: "expected" });
  }

  show(captionId, caption) {
    this.svg.replaceChildren(element("title", {}, this.svg.getAttribute("aria-label")), element("desc", {}, caption), ...this.parts);
    this.svg.setAttribute("aria-describedby", captionId);
    say(captionId, caption);
  }
}

function drawSends({ expected, window, recent }, slots) {
  const plot = new Plot("sends");
  const all = [...Array(Math.max(0, slots - recent.length)).fill(0), ...recent];
  const rates = all.map((count) => count / window);
  const spread = (SIGMAS * Math.sqrt(expected * window)) / window;
  const most = Math.max(expected + 2 * spread, ...rates, 0.1) * 1.05;
  if (expected) plot.band((expected - spread) / most, (expected + spread) / most);
  plot.scale(most);
  plot.bars(rates.map((rate) => rate / most));
  if (expected) plot.expected(expected / most);
  plot.text(plot.x0, plot.height - 3, `${duration(slots * window)} ago`, "start");
  plot.text(plot.x1, plot.height - 3, "now", "end");
  const mean = recent.length ? sum(recent) / (recent.length * window) : 0;
  plot.show("sends-text", recent.length
    ? `${mean.toFixed(2)} a second on average; λ, dashed, is ${expected.toFixed(2)}. Chance alone keeps 95 % of the bars within the band.`
    : "No five seconds have passed yet in which packets could leave.");
}

function drawGaps({ gaps }) {
  const plot = new Plot("gaps");
  const number = sum(gaps.counts);
  const ranges = gaps.counts.length;
  const expected = number / ranges;
  const spread = SIGMAS * Math.sqrt(expected * (1 - 1 / ranges));
  const most = Math.max(expected + 2 * spread, ...gaps.counts, 1) * 1.05;
  if (number) plot.band((expected - spread) / most, (expected + spread) / most);
  plot.scale(most, (value) => (Number.isInteger(value) ? whole.format(value) : ""));
  plot.bars(gaps.counts.map((count) => count / most));
  if (number) plot.expected(expected / most);
  plot.text(plot.x0, plot.height - 3, "short gaps", "start");
  plot.text(plot.x1, plot.height - 3, "long gaps", "end");
  const within = gaps.counts.filter((count) => Math.abs(count - expected) <= spread).length;
  plot.show("gaps-text", number < FEWEST_GAPS
    ? `${many(number, "gap", "gaps")} so far, too few to judge. Exponential gaps fill all ranges alike.`
    : `${whole.format(number)} gaps, ${Math.round(expected)} expected in each range; ${within} of ${ranges} are within the band. Exponential gaps fill all ranges alike.`);
}

function quantile({ bounds, counts }, share) {
  let left = share * sum(counts);
  const number = counts.findIndex((count) => (left -= count) <= 0);
  return number < bounds.length ? `within ${short(bounds[number])}` : `above ${short(bounds[bounds.length - 1])}`;
}

function drawTrips(trips) {
  const plot = new Plot("trips");
  const number = sum(trips.counts);
  const most = Math.max(...trips.counts, 1) * 1.05;
  plot.scale(most, (value) => (Number.isInteger(value) ? whole.format(value) : ""));
  plot.bars(trips.counts.map((count) => count / most));
  const every = plot.width < 400 ? 3 : 2;
  trips.bounds.forEach((bound, index) => {
    if (index % every === 1) plot.text(plot.x((index + 1) / trips.counts.length), plot.height - 3, short(bound));
  });
  plot.show("trips-text", number
    ? `${many(number, "reply", "replies")}, ${short(trips.total / number)} on average: half of them ${quantile(trips, 0.5)}, 95 % ${quantile(trips, 0.95)}.`
    : "No reply has come yet.");
}

function drawFlight() {
  const plot = new Plot("flight");
  const values = samples.map(([, value]) => value);
  const most = Math.max(...values, 3) * 1.1;
  plot.scale(most, (value) => (Number.isInteger(value) ? whole.format(value) : ""));
  const end = samples.length ? samples[samples.length - 1][0] : 0;
  const span = Math.max(FEWEST_SECONDS, samples.length ? end - samples[0][0] : 0);
  const at = (time) => plot.x(1 - (end - time) / span);
  const points = samples.flatMap(([time, value], number) => {
    const before = number ? [[at(time), plot.y(samples[number - 1][1] / most)]] : [];
    return [...before, [at(time), plot.y(value / most)]];
  });
  if (points.length > 1) {
    const line = points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
    plot.add("path", { class: "area", d: `M${points[0][0]} ${plot.y0}L${line}L${points[points.length - 1][0]} ${plot.y0}Z` });
    plot.add("path", { class: "curve", d: `M${line}` });
  }
  plot.text(plot.x0, plot.height - 3, `${duration(span)} ago`, "start");
  plot.text(plot.x1, plot.height - 3, "now", "end");
  plot.show("flight-text", values.length
    ? `${many(values[values.length - 1], "message awaits", "messages await")} a reply now; at most ${whole.format(Math.max(...values))} did since this page was opened. The daemon keeps no such history.`
    : "");
}

function drawTimeline(state) {
  const plot = new Plot("timeline", { left: 1, right: 1, top: 4, bottom: 18 });
  const { epoch, period, documents } = state;
  if (epoch === null) {
    plot.show("timeline-text", "This machine's clock stands before the first epoch.");
    return;
  }
  const first = state.epoch_began_at - period;
  const at = (time) => plot.x((time - first) / (3 * period));
  const now = at(state.time.now);
  for (const number of [epoch - 1, epoch, epoch + 1]) {
    const held = documents.find((document) => document.epoch === number);
    const x = at(first + (number - epoch + 1) * period);
    const width = (plot.x1 - plot.x0) / 3;
    plot.add("rect", {
      x: x + 2, y: plot.y1, width: width - 4, height: plot.y0 - plot.y1, rx: 5,
      class: `block ${held ? (held.is_current ? "current" : "") : "missing"}`,
    });
    const what = held ? (held.is_current ? "in use" : "held") : number > epoch ? "not yet" : "none";
    // Where the line of the present does not cross it.
    const isLate = now - x > width / 2;
    const [labelAt, anchor] = number !== epoch ? [x + width / 2, "middle"] : isLate ? [x + 12, "start"] : [x + width - 12, "end"];
    plot.text(labelAt, (plot.y0 + plot.y1) / 2 + 4, what, anchor, "label");
    plot.text(x + width / 2, plot.height - 3, plot.width < 400 ? whole.format(number) : `epoch ${whole.format(number)}`);
  }
  plot.add("line", { x1: now, x2: now, y1: plot.y1 - 3, y2: plot.y0 + 3, class: "now" });
  const current = documents.find((document) => document.is_current);
  const next = documents.some((document) => document.epoch === epoch + 1);
  plot.show("timeline-text", current
    ? `Packets are made by the document of epoch ${whole.format(current.epoch)}, signed by ${current.signatures} of ${current.authorities} authorities. `
      + `The next epoch begins in ${duration(state.epoch_began_at + period - state.time.now)}; its document is ${next ? "here" : "not here yet"}.`
    : "There is no document by which packets could be made.");
}

// -- tables

function rows(id, lines) {
  byId(id).replaceChildren(...lines.map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((cell, number) => {
      const node = document.createElement(number ? "td" : "th");
      if (!number) node.scope = "row";
      node.textContent = cell;
      if (number && cell === "0") node.className = "zero";
      row.append(node);
    });
    return row;
  }));
}

function showApplications(applications, further) {
  rows("apps", applications.map((app) => [
    app.name,
    app.is_present ? "connected" : "away",
    whole.format(app.waiting),
    whole.format(app.resends),
    app.messages ? `${whole.format(app.messages)} (${bytes(app.message_bytes)})` : "0",
    app.unread ? `${whole.format(app.unread)} (${bytes(app.unread_bytes)})` : "0",
  ]));
  const here = applications.filter((app) => app.is_present).length;
  say("apps-note", applications.length
    ? `${here} connected, ${applications.length - here} away${further ? `; ${whole.format(further)} more, with less` : ""}.`
    : "No application is connected.");
}

function showSums(state) {
  const { traffic, surbs, link } = state;
  rows("sums", [
    ["Messages sent", traffic.messages],
    ["Decoys sent", traffic.decoys_p + traffic.decoys_l],
    ["Decoys that came back", state.decoys_returned],
    ["Retransmissions", state.retransmissions],
    ["Slots held for the gateway's limiter", traffic.held_for_token],
    ["Slots without a packet", traffic.slots_without_packet],
    ["Links to gateways", link.links],
    ["Tries that led to none", link.failures],
    ["Reply blocks made", surbs.created],
    ["Reply blocks delivered", surbs.delivered],
    ["Reply blocks still out", surbs.out],
  ].map(([what, number]) => [what, whole.format(number)]));
}

function showUsage(usage) {
  rows("usage", Object.entries(usage).map(([name, [used, most]]) => {
    const unit = name.endsWith("bytes") ? bytes : whole.format;
    return [words(name).replace(/^./, (letter) => letter.toUpperCase()), `${unit(used)} of ${unit(most)}`];
  }));
}

// -- the whole

function showLink({ link, time, versions, started_at, documents }) {
  say("version", `${versions.kpclientd}, running for ${duration(time.now - started_at)}`);
  const up = link.state === "up";
  say("gateway", up ? link.gateway : "none");
  const end = link.last_end;
  const ended = end && `${duration(time.now - end.at)} ago: ${end.reason}`;
  if (up) say("gateway-note", `for ${duration(time.now - link.since)}${link.links > 1 ? `, link number ${whole.format(link.links)}` : ""}`);
  else if (ended) say("gateway-note", `${ended}${link.next_try ? `; next try in ${duration(link.next_try - time.now)}` : ""}`);
  else say("gateway-note", "not connected yet");
  const ready = up && documents.some((document) => document.is_current);
  status(ready ? "up" : "trying", ready ? "Connected" : up ? "Connected, waiting for a document" : `Not connected: ${link.state}`);
}

function showNetwork(state) {
  const { epoch, time, documents } = state;
  say("epoch", epoch === null ? "none" : whole.format(epoch));
  say("epoch-note", epoch === null ? "set the clock" : `ends in ${duration(state.epoch_began_at + state.period - time.now)}`);
  const current = documents.find((document) => document.is_current);
  say("document", current ? `${current.signatures} of ${current.authorities}` : "none");
  say("document-note", current ? `signatures; ${duration(current.age)} old` : "nothing can be sent");
  showClock(time);
  say("waiting", whole.format(state.waiting));
  say("in-flight", whole.format(state.in_flight));
}

function showClock({ skew, correction }) {
  if (skew === null) {
    say("clock", "–");
    say("clock-note", "no gateway was asked yet");
    return;
  }
  const isRight = Math.abs(skew) < CLOCK_SECONDS;
  const off = `${skew < 0 ? "−" : "+"}${duration(Math.abs(skew))}`;
  say("clock", isRight ? "right" : off);
  say("clock-note", isRight ? `within ${CLOCK_SECONDS} s of the gateway's`
    : Math.abs(correction) >= CLOCK_SECONDS ? "off the gateway's, and corrected" : "off the gateway's: set it");
}

function status(kind, text) {
  byId("state").dataset.state = kind;
  say("state", text);
  document.title = `${text} – kpclientd`;
}

function draw() {
  if (present === null) return;
  drawSends(present.traffic.departures, 60);
  drawGaps(present.traffic.departures);
  drawTrips(present.round_trips);
  drawFlight();
  drawTimeline(present);
}

function show(state) {
  if (present !== null && Math.abs(state.started_at - present.started_at) > 1) samples = []; // it was restarted
  present = state;
  samples = [...samples, [performance.now() / 1000, state.in_flight]].slice(-MOST_SAMPLES);
  showLink(state);
  showNetwork(state);
  showApplications(state.applications, state.further_applications);
  rows("drops", Object.entries(state.drops).map(([reason, count]) => [reason, whole.format(count)]));
  showSums(state);
  showUsage(state.usage);
  draw();
}

function gone() {
  goneSince = goneSince || new Date();
  document.body.classList.add("gone");
  status("gone", `No answer since ${clock(goneSince)}; asking again`);
}

function locked(fault) {
  document.body.classList.add("locked");
  status("gone", "The daemon wants its token");
  say("token-fault", fault);
  if (byId("token-form").hidden) {
    byId("token-form").hidden = false;
    byId("token").focus();
  }
}

async function ask() {
  clearTimeout(timer);
  if (document.hidden) return; // asked again when it is looked at
  let next = ASK_MS;
  try {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch("/status.json", { headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
    if (answer.status === 401) {
      locked(token ? "That is not the token." : "");
      return; // until one is given
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const state = await answer.json();
    goneSince = null;
    document.body.classList.remove("gone", "locked");
    byId("token-form").hidden = true;
    show(state);
  } catch {
    gone();
    next = ASK_AGAIN_MS;
  }
  clearTimeout(timer);
  timer = setTimeout(ask, next);
}

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  byId("token").value = "";
  ask();
});
document.addEventListener("visibilitychange", ask);
new ResizeObserver(draw).observe(byId("figures"));
ask();
