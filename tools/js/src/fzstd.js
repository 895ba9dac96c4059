/**
 * Gives zstd.js what decompresses.  The one module that knows the dependency by its name.
 */

import { Decompress } from "fzstd";
import { useZstd } from "./zstd.js";

useZstd(Decompress);
