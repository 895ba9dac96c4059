import { AefError, loadPackage, open, paint, readStream, startWorker, validate, type Package, type Report } from "./aeformat";

export async function use(bytes: Uint8Array, canvas: HTMLCanvasElement, stream: ReadableStream<Uint8Array>): Promise<bigint> {
    const decoder: Package = loadPackage(bytes, { maxWork: 1e9 });
    const file = await open(bytes, { decoder });
    if (file.kind === "model") return BigInt((await file.load()).work);
    const { values, sizes, names, fields } = await file.rows(0, 2);
    const nulls: number = fields?.caption?.type === "text" ? fields.caption.values.length : 0;
    const label = (await file.fields("label", 0)).values[0], types = await file.fieldTypes();
    if (typeof label === "bigint" && types?.label.sizes.length === nulls) return label;
    const first: number = values[0] + sizes[0].dims[0] + (names[0]?.length ?? 0);
    const [image] = await file.images(first);
    paint(canvas, image);
    for await (const event of readStream(stream)) if (event.type === "rows") decoder.run(event.values, { size: [8, 8] });
    const report: Report = validate(bytes, { decoder });
    if (report.problems[0]?.inside === "dECo") throw new AefError(report.problems[0].rule, "structure", 0, "no");
    startWorker().terminate();
    return file.nRows;
}
