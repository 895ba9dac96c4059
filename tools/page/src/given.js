/**
 * What the page was given: files of the server that it came from, or those that were saved inside it; and decoders by model id.
 */

const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const asBlob = (text) => new Blob([fromBase64(text)]);
const absolute = (path) => new URL(path, location.href).href;

const IN_STORE = /^(.*\/)view\/([0-9a-f]{64})$/; // of `aeformat serve`

/** @returns {Promise<{files?: any[], findDecoder?: (id: string) => Promise<{bytes: Uint8Array, place: string} | null>, store?: any}>} */
export async function given() {
  const saved = document.getElementById("saved");
  if (saved) return ofPage(JSON.parse(saved.textContent));
  const [, base, digest] = IN_STORE.exec(location.pathname) ?? [];
  if (digest) return { store: { base: absolute(base), digest } };
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

/** No file comes with this token, or without one. */
export class NotAllowed extends Error {}

/**
 * A container of `aeformat serve`, by its digest.
 * @param {{base: string, digest: string}} store @param {string} token "" for none
 */
export async function fromStore({ base, digest }, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const url = `${base}v1/containers/${digest}`;
  const { ok, status } = await fetch(url, { method: "HEAD", headers });
  if (status === 401 || status === 403) throw new NotAllowed(status === 403 ? "This token may not read containers." : token ? "The server does not know this token." : "");
  if (!ok) throw new NotAllowed("There is no such container for you.");
  const findDecoder = async (id) => {
    const answer = await fetch(`${base}v1/models/${id}`, { headers }).catch(() => null);
    return answer?.status === 200 ? { bytes: new Uint8Array(await answer.arrayBuffer()), place: "on the server" } : null;
  };
  return { files: [{ name: `${digest.slice(0, 12)}.aef`, source: { url, headers } }], findDecoder };
}
