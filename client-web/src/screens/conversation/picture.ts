// A picture as it leaves the phone: drawn anew, so that nothing is left of where, when and with what it was taken.
import type { Picture } from "../../matrix/chat";

const LONGEST_SIDE = 1_600;
const QUALITY = 0.82;
const LARGEST_FILE = 40_000_000;

export type PictureTrouble = "picture.unreadable" | "picture.tooLarge";

/** Raises an Error whose message is a PictureTrouble. */
export async function prepare(file: Blob): Promise<Picture> {
  if (file.size > LARGEST_FILE) throw new Error("picture.tooLarge" satisfies PictureTrouble);
  const drawn = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (!drawn) throw new Error("picture.unreadable" satisfies PictureTrouble);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(drawn.width, drawn.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(drawn.width * scale));
  canvas.height = Math.max(1, Math.round(drawn.height * scale));
  const brush = canvas.getContext("2d");
  if (brush) {
    // What was transparent would come out black.
    brush.fillStyle = "#fff";
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(drawn, 0, 0, canvas.width, canvas.height);
  }
  drawn.close();
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  if (!brush || !blob) throw new Error("picture.unreadable" satisfies PictureTrouble);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return { data: base64(bytes), width: canvas.width, height: canvas.height, size: bytes.length };
}

/** Bytes as text that fits into the tab's storage. */
export function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return btoa(text);
}
