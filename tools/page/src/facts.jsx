/** What the file says of itself: header, decoder, receipts, chunks. */

import { useState } from "preact/hooks";
import { hex } from "../../js/src/bytes.js";
import { count, number, size } from "./words.js";

const PAGE = 100; // chunks that are shown at a time

/** A value of the header as text. */
function text(value) {
  if (value instanceof Uint8Array) return value.length > 64 ? `${count(value.length, "byte")}` : hex(value);
  if (Array.isArray(value)) return value.map(text).join(" × ");
  if (value && typeof value === "object") return Object.entries(value).map(([key, inner]) => `${key}: ${text(inner)}`).join("; ");
  return String(value);
}

function Facts({ facts }) {
  return (
    <dl class="facts">
      {facts.map(([key, value]) => <div key={key}><dt>{key}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}

/** @param {{document: any, onBytes: (at: number, n: number) => void}} props */
export function FileFacts({ document: file, onBytes }) {
  const { summary, report } = file;
  if (!summary) return <p class="quiet">The file could not be opened; see Problems.</p>;
  const { header } = summary;
  return (
    <div class="page">
      <section aria-labelledby="header-name">
        <h2 id="header-name">Header</h2>
        <Facts facts={[
          ["size", size(file.size)], ...(summary.kind === "latents" ? [["rows", number(summary.length)]] : []),
          ...Object.entries(header).map(([key, value]) => [key, text(key === "image" ? value.slice(0, 3) : value)]),
          ["format", `1.${summary.minor}, flags ${summary.flags}`], ["content id", summary.contentId],
        ]} />
      </section>
      <section aria-labelledby="decoder-name">
        <h2 id="decoder-name">{summary.kind === "model" ? "Network" : "Decoder"}</h2>
        <Network document={file} />
      </section>
      <section aria-labelledby="checks-name">
        <h2 id="checks-name">Checks</h2>
        <Checks document={file} />
      </section>
      {report?.chunks.length > 0 && (
        <section aria-labelledby="chunks-name">
          <h2 id="chunks-name">Chunks</h2>
          <Chunks report={report} size={file.size} onBytes={onBytes} />
        </section>
      )}
    </div>
  );
}

export function Network({ document: file }) {
  const { decoder, place, needs } = file;
  if (!decoder) {
    return needs
      ? <p>Needs decoder <code>{needs}</code>, which is not here. Drop its file on this page, or fetch it (<code>aeformat fetch</code>).</p>
      : <p>The file does not say which decoder its latents need.</p>;
  }
  return (
    <>
      <Facts facts={[
        ["model id", decoder.modelId], ["found", place], ["role", decoder.role], ["profile", decoder.profile],
        ["input", `${decoder.input.shape.map((n) => n || "any").join(" × ")} ${decoder.input.type}`],
        ["output", `${decoder.output.shape.map((n) => n || "any").join(" × ")} ${decoder.output.type}`],
        ["parameters", number(decoder.parameters)], ["prior", decoder.prior ? "yes" : "no"], ["golden set", "comes out right"],
      ]} />
      <details>
        <summary>{count(decoder.layers.length, "layer")}</summary>
        <ol class="layers">
          {decoder.layers.map(({ kind, shape }, i) => <li key={i}>{kind}{shape && <span class="quiet"> {shape.join(" × ")}</span>}</li>)}
        </ol>
      </details>
    </>
  );
}

function Checks({ document: { report, problems, size: nBytes, checked } }) {
  if (!report) return <p>{nBytes ? `${Math.floor((100 * checked) / nBytes)} % of the file is checked.` : "The file is being checked."}</p>;
  const rest = report.notChecked && <p>Not checked: {report.notChecked}.</p>;
  if (problems.length) return <p>See Problems. What stands behind the first of them was not checked.</p>;
  return (
    <>
      <p>Every checksum, length and place holds.</p>
      {report.nReceipts > 0 && <p>{number(report.nProved)} of {count(report.nReceipts, "receipt")} proved here: the decoder made these very pixels again.</p>}
      {report.nReceipts === 0 && <p>The file has no receipts, so nothing says which pixels must come out.</p>}
      {rest}
    </>
  );
}

function stateOf({ at, payloadAt, storedLen }, { problems }) {
  const [first] = problems;
  const place = first && (first.inside ? first.insideAt : first.at);
  if (!first || payloadAt + storedLen <= place) return "holds";
  return place >= at ? "broken" : "not reached";
}

function Chunks({ report, size: nBytes, onBytes }) {
  const [shown, setShown] = useState(PAGE);
  const { chunks, nChunks, trailerAt } = report;
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label="Chunks of the file">
        <table>
          <thead><tr><th scope="col">Chunk</th><th scope="col">Byte</th><th scope="col">Rows</th><th scope="col">Stored</th><th scope="col">Raw</th><th scope="col">CRC-32</th><th scope="col">Checksum</th></tr></thead>
          <tbody>
            {chunks.slice(0, shown).map((chunk) => (
              <tr key={chunk.at}>
                <th scope="row"><code>{chunk.tag}</code></th>
                <td><button type="button" class="link" onClick={() => onBytes(chunk.at, chunk.payloadAt - chunk.at + chunk.storedLen)}><span class="hidden">Show bytes from </span>{number(chunk.at)}</button></td>
                <td>{chunk.nRows ? `${number(chunk.firstRow)} to ${number(chunk.firstRow + chunk.nRows - 1)}` : ""}</td>
                <td>{size(chunk.storedLen)}</td><td>{size(chunk.rawLen)}</td>
                <td><code>{chunk.payloadCrc.toString(16).padStart(8, "0")}</code></td>
                <td>{stateOf(chunk, report)}</td>
              </tr>
            ))}
            {trailerAt !== null && shown >= chunks.length && nChunks === chunks.length && (
              <tr><th scope="row"><code>TAIL</code></th><td><button type="button" class="link" onClick={() => onBytes(trailerAt, nBytes - trailerAt)}><span class="hidden">Show bytes from </span>{number(trailerAt)}</button></td><td /><td>{size(nBytes - trailerAt)}</td><td /><td /><td>holds</td></tr>
            )}
          </tbody>
        </table>
      </div>
      <p class="bar">
        {shown < chunks.length && <button type="button" onClick={() => setShown(shown + PAGE)}>Show more chunks</button>}
        <span class="quiet">{nChunks === null ? `${count(chunks.length, "chunk")}, then no more can be read` : count(nChunks, "chunk")}{nChunks > chunks.length && `; the first ${number(chunks.length)} are listed`}</span>
      </p>
    </>
  );
}
