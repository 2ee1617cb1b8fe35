// Asks the server about one photo, through TensorFlow Serving's REST form, and draws the answer.

const LARGEST = 11_900_000; // bytes of a file: base64 makes them four thirds, and the server takes 16 MB
const SHOWN = 10; // classes
const $ = (id) => document.getElementById(id);
let latest = 0; // number of the photo that was chosen last

async function ask(path, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function model() {
  const served = await ask("classes");
  document.title = `Try ${served.name}`;
  $("model").textContent = served.name;
  $("version").textContent = `Version ${served.version}, ${served.classes.length} classes`;
  return served;
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
    reader.onerror = () => reject(new Error("The file cannot be read."));
    reader.readAsDataURL(file);
  });
}

async function classify(file) {
  const number = ++latest;
  tell("Looking …");
  show(file);
  try {
    if (file.size > LARGEST) throw new Error("The photo is larger than 12 MB: choose a smaller one.");
    const bytes = await base64(file);
    const served = await model();
    const path = `v1/models/${served.name}/versions/${served.version}:predict`;
    const request = { signature_name: "serving_explain", instances: [{ b64: bytes }] };
    const { predictions } = await ask(path, request);
    if (number === latest) draw(predictions[0], served.classes, file);
  } catch (error) {
    if (number === latest) refuse(error);
  }
}

function show(file) {
  URL.revokeObjectURL($("image").src);
  $("image").src = URL.createObjectURL(file);
  $("image").alt = `The chosen photo, ${file.name || "pasted"}`;
  $("figure").hidden = false;
  $("heat").hidden = true;
}

function tell(text, label = "") {
  const strong = document.createElement("strong");
  strong.textContent = label;
  $("told").replaceChildren(...(label ? [strong] : []), text);
  $("error").textContent = "";
  $("bars").replaceChildren();
}

function refuse(error) {
  tell("None.");
  $("figure").hidden = true;
  $("error").textContent = error instanceof TypeError ? "The server does not answer: is it still running?" : error.message;
}

function draw(prediction, classes, file) {
  const order = classes.map((_, label) => label);
  order.sort((one, other) => prediction.probabilities[other] - prediction.probabilities[one]);
  const probability = percent(prediction.probabilities[prediction.label]);
  const known = prediction.known !== false; // a model that was exported before does not say
  if (known) tell(`with a probability of ${probability}`, prediction.label_name);
  else tell(`: looks most like ${prediction.label_name}, ${probability}`, "Not one of these");
  $("bars").replaceChildren(
    ...order.slice(0, SHOWN).map((label) => bar(classes[label], prediction.probabilities[label])),
  );
  $("image").alt = `${file.name || "The pasted photo"}, which the model ${known ? "calls" : "does not know, and finds most like"} ${prediction.label_name}`;
  heat(prediction.heat_map);
}

function percent(part) {
  return `${(100 * part).toFixed(1)} %`;
}

function bar(name, probability) {
  const item = document.createElement("li");
  const length = document.createElement("i");
  length.style.width = `${100 * probability}%`;
  const texts = [name, percent(probability)].map((text) => {
    const span = document.createElement("span");
    span.textContent = text;
    return span;
  });
  item.replaceChildren(length, ...texts);
  return item;
}

// A pixel a cell, which the browser smooths over the image: clear where nothing spoke for the class, then yellow, then red
function heat(map) {
  const canvas = $("heat");
  canvas.height = map.length;
  canvas.width = map[0].length;
  const pixels = map.flat().flatMap((value) => [255, Math.round(220 * (1 - value)), 0, Math.round(165 * value)]);
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), canvas.width), 0, 0);
  canvas.hidden = !$("show-heat").checked;
}

$("file").addEventListener("change", () => $("file").files[0] && classify($("file").files[0]));
$("show-heat").addEventListener("change", () => ($("heat").hidden = !$("show-heat").checked));
document.addEventListener("paste", (event) => event.clipboardData.files[0] && classify(event.clipboardData.files[0]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dragging"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  if (event.dataTransfer.files[0]) classify(event.dataTransfer.files[0]);
});
model().catch(refuse);
