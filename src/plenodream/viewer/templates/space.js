// Cameras in space: paths, and at the frame shown the pyramid of every camera with its picture on it.
const space = at("space"), views = JSON.parse(at("cameras").textContent);
const add = (a, b, s = 1) => a.map((x, i) => x + s * b[i]), dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = a => a.map(x => x / Math.hypot(...a));

// A camera is 3x4, row by row, then the edges of its picture at 1 m: left, right, top, bottom. y points down.
const centre = m => [m[3], m[7], m[11]], column = (m, j) => [m[j], m[4 + j], m[8 + j]];
function corners(m, depth) {
  const [left, right, top, bottom] = m.slice(12);
  return [[left, top], [right, top], [right, bottom], [left, bottom]].map(([x, y]) =>
    add(add(add(centre(m), column(m, 0), x * depth), column(m, 1), y * depth), column(m, 2), depth));
}

const spots = views.flatMap(view => view.cameras.map(centre));
const low = [0, 1, 2].map(i => Math.min(...spots.map(p => p[i]))), high = [0, 1, 2].map(i => Math.max(...spots.map(p => p[i])));
const extent = Math.max(0.3, Math.hypot(...add(high, low, -1))), length = 0.16 * extent;
const middle = add(add(low, add(high, low, -1), 0.5), [0, 0, length], 0.7);
// What stands before the cameras, where depth is known: a cloud a view and moment, of places and colours.
const deep = JSON.parse(at("depths").textContent), bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const clouds = (deep.views ?? []).map(({view, places, colours, each}) => ({view, each, places: new Int16Array(bytes(places).buffer), colours: bytes(colours)}));
function drawPoints(context, n, project) {
  if (!at("points")?.checked) return;
  const nearest = deep.moments.reduce((best, moment, i) => Math.abs(moment - n) < Math.abs(deep.moments[best] - n) ? i : best, 0);
  for (const {view, each, places, colours} of clouds) {
    context.globalAlpha = !pointed || pointed.view === view ? 0.9 : 0.15;
    for (let i = 3 * nearest * each; i < 3 * (nearest + 1) * each; i += 3) {
      const q = places[i] !== -32768 && project([0, 1, 2].map(j => places[i + j] * deep.unit));
      if (!q) continue;
      context.fillStyle = `rgb(${colours[i]} ${colours[i + 1]} ${colours[i + 2]})`;
      context.fillRect(q[0] - 1.5, q[1] - 1.5, 3, 3);
    }
  }
  context.globalAlpha = 1;
}
// As deep as half of the source's points go, for a first look that holds them.
const depths = clouds.length ? Array.from({length: clouds[0].each}, (_, i) => clouds[0].places[3 * i + 2] * deep.unit).filter(z => z > 0).sort((a, b) => a - b) : [];
const ahead = depths.length ? depths[depths.length >> 1] : 0;
const looks = {free: [-0.55, 0.45, 1], above: [0, Math.PI / 2 - 1e-3, 1], side: [-Math.PI / 2, 0, 1]};
let look = {}, through = null;
function reset(kind) {
  const [turn, tilt, near] = looks[kind];
  look = {turn, tilt, distance: 1.35 * near * (extent + 1.5 * length) + 0.6 * ahead, target: add(middle, [0, 0, 0.35 * ahead])};
  through = null;
  at("through").value = "";
  stale = true;
}
reset("free");

// The observer: rows right, down, forward, where it stands, and its focal length in widths of the shorter side.
function observer(n) {
  if (through !== null) {
    const m = views[through].cameras[Math.min(n, views[through].cameras.length - 1)];
    return {right: column(m, 0), down: column(m, 1), forward: column(m, 2), eye: centre(m), edges: m.slice(12)};
  }
  const {turn, tilt, distance, target} = look;
  const forward = [-Math.sin(turn) * Math.cos(tilt), Math.sin(tilt), Math.cos(turn) * Math.cos(tilt)];
  const right = [Math.cos(turn), 0, Math.sin(turn)], down = cross(forward, right);
  return {right, down, forward, eye: add(target, forward, -distance)};
}

function projector(n, width, height) {
  const {right, down, forward, eye, edges} = observer(n);
  // Through a camera its whole picture is inside of the panel.
  const focal = edges ? Math.min(width / (edges[1] - edges[0]), height / (edges[3] - edges[2])) : 1.1 * Math.min(width, height);
  const shift = edges ? [(edges[0] + edges[1]) / 2, (edges[2] + edges[3]) / 2] : [0, 0];
  return p => {
    const d = add(p, eye, -1), z = dot(d, forward);
    return z < 1e-3 * extent ? null : [width / 2 + focal * (dot(d, right) / z - shift[0]), height / 2 + focal * (dot(d, down) / z - shift[1]), z];
  };
}

function stroke(context, line, project, close) {
  context.beginPath();
  let pen = false;
  for (const p of close ? [...line, line[0]] : line) {
    const q = project(p);
    if (q) pen ? context.lineTo(q[0], q[1]) : context.moveTo(q[0], q[1]);
    pen = !!q;
  }
  context.stroke();
}

// A picture on a quadrilateral, as two triangles with an affine map each.
function paste(context, picture, quad) {
  const {width, height} = picture;
  for (const [a, b, c, from] of [[0, 1, 2, [[0, 0], [width, 0], [width, height]]], [0, 2, 3, [[0, 0], [width, height], [0, height]]]]) {
    const [p, q, r] = [quad[a], quad[b], quad[c]], [s, t, u] = from;
    const area = (t[0] - s[0]) * (u[1] - s[1]) - (u[0] - s[0]) * (t[1] - s[1]);
    const part = i => [((q[i] - p[i]) * (u[1] - s[1]) - (r[i] - p[i]) * (t[1] - s[1])) / area, ((r[i] - p[i]) * (t[0] - s[0]) - (q[i] - p[i]) * (u[0] - s[0])) / area];
    const [x, y] = [part(0), part(1)];
    context.save();
    context.beginPath();
    [p, q, r].forEach(([px, py], i) => i ? context.lineTo(px, py) : context.moveTo(px, py));
    context.clip();
    context.transform(x[0], y[0], x[1], y[1], p[0] - x[0] * s[0] - x[1] * s[1], p[1] - y[0] * s[0] - y[1] * s[1]);
    context.drawImage(picture, 0, 0);
    context.restore();
  }
}

// A name above a camera; higher where another name is already.
function label(context, text, x, y, placed) {
  const short = text.length > 26 ? `${text.slice(0, 25)}…` : text, half = context.measureText(short).width / 2 + 3;
  while (placed.some(other => Math.abs(other.x - x) < half + other.half && Math.abs(other.y - y) < 14)) y -= 7;
  placed.push({x, y, half});
  context.textAlign = "center";
  context.fillText(short, x, y);
}

function drawSpace(n) {
  const width = space.clientWidth, height = space.clientHeight, ratio = devicePixelRatio, ink = getComputedStyle(space);
  if (!width || stage.open) return;
  if (space.width !== Math.round(width * ratio)) [space.width, space.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  const context = space.getContext("2d"), project = projector(n, width, height);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.lineJoin = "round";
  context.font = "12px system-ui, sans-serif";
  // The ground below the lowest camera, for a sense of up.
  context.strokeStyle = ink.getPropertyValue("--line");
  context.lineWidth = 1;
  const floor = high[1] + length, side = 0.6 * (extent + 2 * length);
  for (let i = -4; i <= 4; i++) {
    stroke(context, [[middle[0] + side * i / 4, floor, middle[2] - side], [middle[0] + side * i / 4, floor, middle[2] + side]], project);
    stroke(context, [[middle[0] - side, floor, middle[2] + side * i / 4], [middle[0] + side, floor, middle[2] + side * i / 4]], project);
  }
  drawPoints(context, n, project);
  const open = views.map((view, i) => ({view, i, card: cards.find(card => +card.dataset.view === i)}))
    .filter(({card, i}) => i !== through && (card?.closest("details.helpers")?.open ?? true))
    .map(entry => ({...entry, m: entry.view.cameras[Math.min(n, entry.view.cameras.length - 1)]}));
  const far = ({m}) => project(centre(m))?.[2] ?? 0;
  const labels = [];
  for (const {view, i, card, m} of open.sort((a, b) => far(b) - far(a))) {
    const lit = !pointed || pointed.view === i || pointed.context.has(`${i}`);
    context.globalAlpha = lit ? 1 : 0.3;
    context.strokeStyle = context.fillStyle = view.colour;
    context.lineWidth = pointed?.view === i ? 3 : 2;
    stroke(context, view.cameras.map(centre), project);
    const tip = project(centre(m)), quad = corners(m, length), flat = quad.map(project);
    if (!tip || flat.some(q => !q)) continue;
    const picture = card.querySelector("canvas");
    if (!card.classList.contains("broken") && shown >= 0) paste(context, picture, flat);
    context.lineWidth = 1.3;
    for (const corner of quad) stroke(context, [centre(m), corner], project);
    stroke(context, quad, project, true);
    context.beginPath();
    context.arc(tip[0], tip[1], 3.5, 0, 7);
    context.fill();
    context.fillStyle = `color-mix(in srgb, ${view.colour} 60%, ${ink.color})`; // dark colours on dark ground, too
    const ends = corners(view.cameras.at(-1), length).map(project);
    if (ends.every(Boolean)) label(context, view.name, (ends[0][0] + ends[1][0]) / 2, Math.min(...ends.map(q => q[1])) - 5, labels);
  }
  context.globalAlpha = 1;
}
alsoShown.push(drawSpace);

all("[data-look]").forEach(button => button.onclick = () => reset(button.dataset.look));
if (at("points")) at("points").onchange = () => stale = true;
at("through").onchange = event => { through = event.target.value === "" ? null : +event.target.value; stale = true; };
const held = new Map();
function turn(dx, dy) { look.turn += dx; look.tilt = Math.min(1.57, Math.max(-1.57, look.tilt + dy)); }
function move(dx, dy) {
  const {right, down} = observer(shown), metres = look.distance / Math.min(space.clientWidth, space.clientHeight);
  look.target = add(add(look.target, right, -dx * metres), down, -dy * metres);
}
function zoom(by) { look.distance = Math.min(40 * extent + 5 * ahead, Math.max(0.05 * extent, look.distance * by)); }
function acted() { if (through !== null) reset("free"); stale = true; }
space.onpointerdown = event => { space.setPointerCapture(event.pointerId); held.set(event.pointerId, [event.clientX, event.clientY]); };
space.onpointerup = space.onpointercancel = event => held.delete(event.pointerId);
space.onpointermove = event => {
  const before = held.get(event.pointerId);
  if (!before) return;
  const now = [event.clientX, event.clientY], [dx, dy] = add(now, before, -1);
  acted();
  if (held.size === 2) {
    const other = [...held].find(([id]) => id !== event.pointerId)[1];
    zoom(Math.hypot(...add(before, other, -1)) / Math.max(1, Math.hypot(...add(now, other, -1))));
    move(dx / 2, dy / 2);
  } else if (event.shiftKey || event.buttons === 2 || event.buttons === 4) move(dx, dy);
  else turn(-dx / 150, dy / 150);
  held.set(event.pointerId, now);
};
space.oncontextmenu = event => event.preventDefault();
space.addEventListener("wheel", event => { event.preventDefault(); acted(); zoom(Math.exp(event.deltaY / 600)); }, {passive: false});
space.addEventListener("keydown", event => {
  const act = {a: () => turn(0.1, 0), d: () => turn(-0.1, 0), w: () => turn(0, 0.1), s: () => turn(0, -0.1), "+": () => zoom(0.9), "-": () => zoom(1.1)}[event.key];
  if (act) { acted(); act(); }
});
addEventListener("resize", () => { space.width = 0; stale = true; });
