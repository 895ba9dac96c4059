/** Which rules of the format the file breaks, and where. */

import rules from "../../../aeformat/data/rules.json";
import { place } from "./words.js";

const BROKEN = "The file is not what the format says it must be. Nothing of it is decoded, and what stands behind the first broken rule was not checked.";
const UNSHOWN = "The file keeps the rules as far as they were checked, but it cannot be shown.";

/** @param {{document: any, onBytes: (at: number, n: number) => void}} props */
export function Problems({ document: file, onBytes }) {
  const { problems, report } = file;
  if (!problems.length) return <div class="page"><p>{report ? "No rule of the format is broken." : "The file is being checked."}</p></div>;
  return (
    <div class="page">
      <p>{problems[0].rule ? BROKEN : UNSHOWN}</p>
      <ul class="problems" role="list">
        {problems.map((problem) => (
          <li key={problem.rule + problem.at}>
            <h2><strong>{problem.rule || problem.code}</strong> {problem.message}</h2>
            {problem.rule && <p class="quiet">{problem.code}, at {place(problem)}</p>}
            {rules[problem.rule] && <blockquote>{rules[problem.rule]}</blockquote>}
            {problem.rule && <button type="button" onClick={() => onBytes(problem.insideAt + problem.at, 1)}>Show the bytes</button>}
          </li>
        ))}
      </ul>
    </div>
  );
}
