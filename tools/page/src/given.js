/**
 * What the page was given: files of the server that it came from, or those that were saved inside it; and decoders by model id.
 */

const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const asBlob = (text) => new Blob([fromBase64(text)]);
const absolute = (path) => new URL(path, location.href).href;

/** @returns {Promise<{files: any[], findDecoder: (id: string) => Promise<{bytes: Uint8Array, place: string} | null>}>} */
export async function given() {
  const saved = document.getElementById("saved");
  if (saved) return ofPage(JSON.parse(saved.textContent));
  if (location.protocol === "file:") return { files: [], findDecoder: async () => null };
  return ofServer(await (await fetch("list.json")).json());
}

function ofPage({ files, decoders }) {
  const open = ({ name, base64, against }) => ({
    name, source: asBlob(base64), against: against && { runs: against.runs, label: against.label, source: asBlob(against.base64) },
  });
  const findDecoder = async (id) =>
    Object.hasOwn(decoders, id) ? { bytes: fromBase64(decoders[id]), place: "saved in this page" } : null;
  return { files: files.map(open), findDecoder };
}

function ofServer({ files }) {
  const open = ({ name, url, against }) => ({
    name, source: absolute(url), against: against && { runs: against.runs, label: against.label, source: absolute(against.url) },
  });
  return { files: files.map(open), findDecoder: fetchDecoder };
}

async function fetchDecoder(id) {
  const answer = await fetch(`decoders/${id}`).catch(() => null); // the program has ended
  if (answer?.status !== 200) return null;
  return { bytes: new Uint8Array(await answer.arrayBuffer()), place: "on this machine" };
}
