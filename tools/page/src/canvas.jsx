import { useEffect, useRef } from "preact/hooks";
import { paint } from "../../js/src/paint.js";

/** An image as a canvas of its size; for a screen reader it is what is around it. @param {{image: any, label?: string}} props */
export function Picture({ image, label }) {
  const ref = useRef(null);
  useEffect(() => {
    if (image) paint(ref.current, image);
  }, [image]);
  const isSmall = !image || Math.max(image.height, image.width) <= 128;
  const name = label ? { role: "img", "aria-label": label } : { "aria-hidden": true };
  return <canvas ref={ref} width={1} height={1} class={`picture${isSmall ? " pixels" : ""}${image ? "" : " empty"}`} {...name} />;
}
