/** aeformat: reads, checks and decodes .aef files. */

/** Numbers of latents, in the type that `values` names; f16 and bf16 come as Float32Array. */
export type Values = Float64Array | Float32Array | Uint8Array | Int8Array | Uint16Array;

/** Numbers of a broken rule, as spec/container.md, section 16, explains them. */
export class AefError extends Error {
  constructor(rule: string, code: string, at: number, what: string, inside?: string);
  /** "C4-11"; "" where no rule is broken */
  readonly rule: string;
  /** of spec/registry.json */
  readonly code: string;
  /** byte */
  readonly at: number;
  readonly what: string;
  /** "dECo" where `at` counts from the embedded decoder */
  readonly inside: "" | "dECo";
  /** byte of the embedded decoder in the file; 0 where `inside` is "" */
  readonly insideAt: number;
}

/** A file that is read by ranges. */
export interface Source {
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface LatentsHeader {
  kind: "latents";
  codec: "none" | "zstd" | "rans";
  filter?: "none" | "shuffle";
  encoding: "text19" | "f64le" | "f32le" | "f16le" | "bf16le" | "u8" | "i8" | "u16le";
  byte_order: "little" | "none";
  values: "f64" | "f32" | "f16" | "bf16" | "u8" | "i8" | "u16";
  /** 0: each row says */
  dims: number[];
  /** height, width, channels, "u8" */
  image?: [number, number, number, "u8"];
  decoder?: Uint8Array;
  encoder?: Uint8Array;
  /** network id of a decoder that is no package */
  foreign_decoder?: Uint8Array;
  /** what the latents are: spec/container.md, section 3.3 */
  described?: Record<string, number | string | Uint8Array | number[]>;
  ext?: Record<string, unknown>;
}

export interface ModelHeader {
  kind: "model";
  codec: "none" | "zstd";
  filter?: "none" | "shuffle";
  byte_order: "little";
  model: Uint8Array;
  ext?: Record<string, unknown>;
}

export interface Trailer {
  at: number;
  nChunks: number;
  nRows: bigint;
  indexAt: bigint;
  chainCrc: number;
  contentId: Uint8Array;
}

/** Rows that follow one another and have one shape. */
export interface Sizes {
  n: number;
  free: number[];
  dims: number[];
  /** height, width, channels; null where the file does not say */
  image: number[] | null;
}

export interface Names {
  labels?: number[];
  names?: string[];
  sources?: Uint8Array[];
}

/** A field as the file declares it: spec/container.md, section 22. */
export interface FieldType {
  type:
    | "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "uint64"
    | "float16" | "float32" | "float64" | "bool" | "text" | "bytes";
  /** of the numbers of one row; none: one number, text or byte string a row */
  sizes: number[];
}

/** Numbers of a field; float16 comes as Float32Array. */
export type FieldNumbers =
  | Int8Array | Int16Array | Int32Array | BigInt64Array | Uint8Array | Uint16Array | Uint32Array | BigUint64Array
  | Float32Array | Float64Array;

/** A field of some rows. */
export interface Column extends FieldType {
  /** row after row, each in C order; null where a row has no text or no bytes */
  values: FieldNumbers | boolean[] | (string | null)[] | (Uint8Array | null)[];
}

/** By the name of the field. */
export type Fields = Record<string, Column>;

export interface Rows {
  first: number;
  count: number;
  /** row after row, each in C order */
  values: Values;
  type: LatentsHeader["values"];
  sizes: Sizes[];
  names: (string | null)[];
  /** null where the rows have none */
  fields: Fields | null;
}

export interface Image {
  /** height, width, channels, in C order */
  data: Uint8Array;
  height: number;
  width: number;
  channels: number;
  name: string | null;
}

/** What a stream tells, in the order of the file. */
export type StreamEvent =
  | { type: "header"; header: LatentsHeader | ModelHeader; preamble: { minor: number; flags: number; headerLen: number; headerCrc: number } }
  | { type: "decoder"; bytes: Uint8Array; at: number; package?: Package }
  | { type: "rows"; firstRow: bigint; nRows: number; values: Values; sizes: Sizes[]; names: Names | null; fields: Fields | null; receipts: Uint8Array | null }
  | { type: "trailer"; trailer: Trailer };

interface File {
  readonly contentId: string;
  readonly trailer: Trailer;
  readonly preamble: { minor: number; flags: number };
  bytes(): Promise<Uint8Array>;
}

export interface LatentsFile extends File {
  readonly kind: "latents";
  readonly header: LatentsHeader;
  readonly nRows: bigint;
  /** nRows as a number */
  readonly length: number;
  /** Take a decoder from outside. */
  useDecoder(decoder: Package | Uint8Array): void;
  /** The decoder that was given or that travels in the file; null where there is none. */
  decoder(): Promise<Package | null>;
  /** Rows by number; reads the chunks that they lie in and no more. */
  rows(first: number, count?: number): Promise<Rows>;
  /** One field of rows by number; reads the chunks of fields that they lie in, and no rows. */
  fields(name: string, first: number, count?: number): Promise<Column>;
  /** Type and sizes of each field; null where rows have none. Reads the fields of the first chunk. */
  fieldTypes(): Promise<Record<string, FieldType> | null>;
  /** What the decoder makes of rows; digests of receipts are checked before a pixel is handed out. */
  images(first: number, count?: number): Promise<Image[]>;
  /** Everything from the first byte on, by every rule. */
  stream(): AsyncGenerator<StreamEvent>;
}

export interface ModelFile extends File {
  readonly kind: "model";
  readonly header: ModelHeader;
  load(): Promise<Package>;
}

export interface Endpoint {
  shape: number[];
  type: "u8" | "i8" | "f32";
  range?: [number, number];
}

/** One half of an autoencoder, its golden set tried. */
export interface Package {
  readonly modelId: Uint8Array;
  readonly role: "encoder" | "decoder";
  readonly profile: "exact" | "float32";
  readonly input: Endpoint;
  readonly output: Endpoint;
  /** Has it sizes that each row states for itself? */
  readonly isFree: boolean;
  /** Pixels of an image for one latent, down and across; [1, 1] without free sizes */
  readonly scale: [number, number];
  /** Multiply-adds and elements of one row (M7-1) */
  readonly work: number;
  /** What the network makes of rows of one shape, flat in C order. `size`: height and width of the image; `latent`: of the latent. */
  run(rows: ArrayLike<number>, sizes?: { size?: [number, number]; latent?: [number, number] }): Uint8Array | Int8Array | Float32Array;
}

export interface Problem {
  rule: string;
  code: string;
  at: number;
  message: string;
  inside: "" | "dECo";
  /** byte of the payload in the file that `at` counts from; 0 for the file itself */
  insideAt: number;
}

export interface Report {
  valid: boolean;
  kind: "" | "latents" | "model";
  rows: number;
  chunks: number;
  bytes: number;
  contentId: string;
  notChecked: string;
  nReceipts: number;
  nProved: number;
  hasDecoder: boolean;
  /** units of C13-1 */
  work: number;
  /** the first broken rule, if there is one */
  problems: Problem[];
}

export function open(
  from: Uint8Array | ArrayBuffer | Blob | string | URL | Source,
  options?: { decoder?: Package | Uint8Array; fetch?: RequestInit },
): Promise<LatentsFile | ModelFile>;
export function readStream(stream: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>, options?: { decoder?: Package }): AsyncGenerator<StreamEvent>;
export function loadPackage(bytes: Uint8Array, limits?: { maxWork?: number }): Package;
export function validate(bytes: Uint8Array, options?: { decoder?: Package }): Report;
/** Draw an image on a canvas of its size. */
export function paint(canvas: HTMLCanvasElement | OffscreenCanvas, image: Image): void;
/** A worker with the messages that worker.js explains. */
export function startWorker(): Worker;
