// One view at full size, or two against each other: beside, wipe, blink, difference.
const stage = at("stage"), pictures = stage.querySelector(".pictures");
let edge = 0.5;
for (const id of ["first", "second"]) at(id).append(...cards.map((card, i) => new Option(name(card), i)));

function enlarge(card) {
  at("first").value = cards.indexOf(card);
  if (at("second").value === at("first").value || at("second").value === "") at("second").value = card === cards[0] ? 1 : 0;
  if (cards.length < 2) at("how").disabled = true;
  stage.showModal();
  stale = true;
}
cards.forEach(card => card.querySelector(".enlarge").onclick = () => enlarge(card));
at("close").onclick = () => stage.close();
stage.addEventListener("close", () => stale = true);
["first", "second", "how"].forEach(id => at(id).addEventListener("change", () => stale = true));

function wiped(event) {
  const box = at("one").getBoundingClientRect();
  edge = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  stale = true;
}
pictures.addEventListener("pointermove", event => {
  if (event.pointerType === "mouse" || event.buttons) wiped(event);
});
pictures.addEventListener("pointerdown", wiped);

// Where `over` covers `under`: from the edge on, in turns, or as their difference.
function lay(one, other, how, n) {
  put(at("one"), one);
  const canvas = at("one"), context = canvas.getContext("2d"), {width, height} = canvas;
  if (how === "beside") return put(at("two"), other);
  if (how === "blink" && Math.floor((playing ? n / fps : performance.now() / 1000) * 2) % 2) context.drawImage(other, 0, 0, width, height);
  if (how === "wipe") {
    const x = Math.round(edge * width), share = other.width / width;
    if (x < width) context.drawImage(other, x * share, 0, (width - x) * share, other.height, x, 0, width - x, height);
    const box = canvas.getBoundingClientRect(), outer = pictures.getBoundingClientRect();
    at("edge").style.left = `${box.left - outer.left + edge * box.width - 1}px`;
  }
  if (how === "difference") {
    context.globalCompositeOperation = "difference";
    context.drawImage(other, 0, 0, width, height);
    context.globalCompositeOperation = "source-over";
  }
}

alsoShown.push(async n => {
  if (!stage.open) return;
  const how = at("how").value, chosen = [at("first")].concat(how ? [at("second")] : []).map(box => cards[box.value]);
  const [one, other] = await Promise.all(chosen.map(card => film(card).whole(n)));
  at("second").hidden = !how;
  pictures.className = `pictures ${how} ${chosen[0].classList.contains("small") ? "sharp" : ""}`;
  if (one) other ? lay(one, other, how, n) : put(at("one"), one);
  // Small videos fill the room that there is; canvases would not grow by themselves.
  const half = how === "beside" ? 2 : 1, scale = Math.min(pictures.clientWidth / half / at("one").width, pictures.clientHeight / at("one").height);
  for (const canvas of [at("one"), at("two")]) canvas.style.width = `${Math.floor(canvas.width * scale)}px`;
  if (how === "blink" && !playing) setTimeout(() => stale = true, 250);
});
