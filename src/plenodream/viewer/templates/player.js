const all = (query, root = document) => [...root.querySelectorAll(query)];
const at = id => document.getElementById(id);
const page = document.documentElement;
page.classList.add("js");

// A film hands out frame n of one video as a picture. It plays its video through once and keeps every picture at the
// size of its card, while there is room; what it has not kept it seeks.
let room = 600e6, filling = 0, begin;
const waiting = [], begun = new Promise(go => begin = go);
class Film {
  constructor(video) {
    this.video = video;
    this.kept = [];
    this.frames = +video.dataset.frames;
    this.fps = +video.dataset.fps;
    this.busy = Promise.resolve();
    const given = video.getAttribute("src");
    this.ready = new Promise(done => {
      video.addEventListener("loadeddata", done, {once: true});
      video.addEventListener("error", () => done(this.broken = true), {once: true});
    });
    video.preload = "auto";
    if (given.startsWith("data:")) {
      const bytes = Uint8Array.from(atob(given.split(",")[1]), c => c.charCodeAt(0));
      video.src = URL.createObjectURL(new Blob([bytes], {type: "video/mp4"}));
    }
    video.loop = false;
    video.load();
    this.listen();
    this.filled = this.fill().catch(() => undefined).then(() => { this.full = true; this.tell(); });
  }

  // `heard` comes true with the next picture that is kept.
  listen() { this.heard = new Promise(go => this.tell = go); }

  async fill() {
    await this.ready;
    if (this.broken) return;
    await this.keep(0, this.small());
    await begun;
    if (!this.video.requestVideoFrameCallback) return;
    if (filling >= 12) await new Promise(go => waiting.push(go));
    filling++;
    await new Promise(done => {
      const take = (_, {mediaTime}) => {
        const n = Math.round(mediaTime * this.fps);
        if (n < this.frames && !this.kept[n]) this.keep(n, this.small());
        this.tell();
        this.listen();
        if (room > 0) this.video.requestVideoFrameCallback(take);
        else { this.video.pause(); done(); }
      };
      this.video.requestVideoFrameCallback(take);
      for (const end of ["ended", "error", "stalled", "abort"]) this.video.addEventListener(end, done, {once: true});
      setTimeout(done, 8000 * this.frames / this.fps + 4000);
      this.video.currentTime = 0;
      this.video.playbackRate = filling > 4 ? 0.5 : 1;
      this.video.play().catch(done);
    });
    this.video.pause();
    filling--;
    waiting.shift()?.();
  }

  // A picture no larger than its card needs.
  small() {
    const card = this.video.closest(".card"), wide = this.video.videoWidth;
    const wanted = Math.ceil((card.clientWidth || 300) * devicePixelRatio);
    if (card.classList.contains("small") || wanted >= wide) return createImageBitmap(this.video);
    const resizeHeight = Math.round(this.video.videoHeight * wanted / wide);
    return createImageBitmap(this.video, {resizeWidth: wanted, resizeHeight, resizeQuality: "medium"});
  }

  async keep(n, picture) {
    const taken = picture.catch(() => undefined).then(made => {
      if (made && room > 0) room -= made.width * made.height * 4;
      else this.kept[n] = undefined;
      return made;
    });
    this.kept[n] = taken;
    return taken;
  }

  async picture(n) {
    await this.ready;
    n = Math.min(n, this.frames - 1);
    if (this.broken) return undefined;
    while (!this.kept[n] && !this.full) await this.heard;
    if (this.kept[n]) { const made = await this.kept[n]; if (made) return made; }
    await this.filled;
    return this.sought(n, () => this.keep(n, this.small()));
  }

  // Frame n as large as the video is.
  async whole(n) {
    await this.filled;
    return this.broken ? undefined : this.sought(Math.min(n, this.frames - 1), () => createImageBitmap(this.video));
  }

  sought(n, take) {
    const made = this.busy.then(async () => {
      const time = (n + 0.5) / this.fps;
      if (Math.abs(this.video.currentTime - time) > 1e-4) {
        await new Promise(done => {
          this.video.addEventListener("seeked", done, {once: true});
          this.video.currentTime = time;
        });
      }
      return take();
    });
    this.busy = made.catch(() => undefined);
    return made;
  }
}

// A view shows one of its films on its canvas, result, truth or depth, or the difference of two. Closed helpers ask for
// nothing.
const cards = all(".card"), films = new Map();
const name = card => card.querySelector("canvas").getAttribute("aria-label");
function filmOf(video) {
  if (!films.has(video)) films.set(video, new Film(video));
  return films.get(video);
}
function shownFilms(card) {
  const role = at("what")?.value ?? "result", result = card.querySelector("video.result"), truth = card.querySelector("video.truth");
  const other = role === "error" ? truth : card.querySelector(`video.${role}`);
  card.querySelector(".badge").textContent = other && role !== "result" ? role : "";
  return (role === "error" && truth ? [result, truth] : [other ?? result]).map(filmOf);
}
const film = card => shownFilms(card)[0];

function put(canvas, picture) {
  if (canvas.width !== picture.width || canvas.height !== picture.height) [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

// Four times the difference of two pictures.
function differ(canvas, other) {
  const context = canvas.getContext("2d");
  context.globalCompositeOperation = "difference";
  context.drawImage(other, 0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "lighter";
  context.drawImage(canvas, 0, 0);
  context.drawImage(canvas, 0, 0);
  context.globalCompositeOperation = "source-over";
}

// One clock for all. Every picture of a frame is at hand before the first is drawn, and all are drawn in one go.
const last = +at("scrub").max, fps = +cards[0].querySelector("video").dataset.fps;
let wanted = 0, shown = -1, due = 0, stale = true, playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
const alsoShown = [];  // called with every frame that is shown
async function draw(n) {
  if (!at("stage").open) {
    const open = cards.filter(card => card.closest("details.helpers")?.open ?? true);
    const pictures = await Promise.all(open.map(card => Promise.all(shownFilms(card).map(film => film.picture(n)))));
    open.forEach((card, i) => {
      const [picture, other] = pictures[i];
      card.classList.toggle("broken", !picture);
      if (picture) put(card.querySelector("canvas"), picture);
      if (picture && other) differ(card.querySelector("canvas"), other);
    });
  }
  for (const show of alsoShown) await show(n);
  shown = n;
  begin();
  at("scrub").value = n;
  at("count").value = `${n + 1} / ${last + 1}`;
}
const period = () => 1000 / fps / at("speed").value;
async function tick(now) {
  if (playing && now >= due) {
    wanted = wanted < last ? wanted + 1 : at("loop").checked ? 0 : last;
    if (wanted === last && !at("loop").checked) run(false);
    due = Math.max(due + period(), now);
  }
  if (stale || wanted !== shown) { stale = false; await draw(wanted); }
  requestAnimationFrame(tick);
}
function run(on) {
  if (on && wanted === last && !at("loop").checked) wanted = 0;
  playing = on;
  due = performance.now() + period();
  page.classList.toggle("playing", on);
}
function step(by) { run(false); wanted = (wanted + by + last + 1) % (last + 1); }
const acts = {play: () => run(!playing), back: () => step(-1), next: () => step(1)};
for (const act in acts) at(act).onclick = acts[act];
all("[data-act]").forEach(button => button.onclick = acts[button.dataset.act]);
at("scrub").oninput = event => { run(false); wanted = +event.target.value; };
all("#what, details.helpers").forEach(node => node.addEventListener(node.id ? "change" : "toggle", () => stale = true));
document.addEventListener("keydown", event => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, summary")) return;
  if (event.key === " " && event.target.closest("button:not(.enlarge)")) return;
  const act = {" ": acts.play, ArrowLeft: acts.back, ArrowRight: acts.next}[event.key];
  if (act) { event.preventDefault(); act(); }
});

// Pointing at a view lights up the context it was given, in the grid and in space.
let pointed = null;
function point(card) {
  const context = new Map((card?.dataset.context || "").split(" ").filter(Boolean).map(pair => pair.split(":")));
  pointed = card && {view: +card.dataset.view, context};
  cards.forEach(other => {
    const view = other.dataset.view;
    other.classList.toggle("is-focus", other === card);
    other.classList.toggle("is-context", context.has(view));
    other.querySelector(".screen").dataset.score = context.get(view) ?? "";
  });
  stale = true;
}
cards.forEach(card => {
  for (const come of ["mouseenter", "focusin"]) card.addEventListener(come, () => point(card));
  for (const go of ["mouseleave", "focusout"]) card.addEventListener(go, () => point(null));
});

if (at("copy")) at("copy").onclick = async () => {
  const text = at("command");
  getSelection().selectAllChildren(text);
  await navigator.clipboard?.writeText(text.textContent).catch(() => document.execCommand("copy"));
  at("copy").textContent = "copied";
};

function start() {
  run(playing);
  requestAnimationFrame(tick);
}
