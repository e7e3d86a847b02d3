// Encrypted files (Client-Server API, "Sending encrypted attachments"): sealed here, carried by the server as noise.
import { decryptAttachment, encryptAttachment, type IEncryptedFile } from "matrix-encrypt-attachment";
import type { EncryptedFile } from "matrix-js-sdk/lib/types.js";
import { MOST_BYTES } from "./chat";

export type { EncryptedFile };

/** The server refused a file or could not be reached (`status` 0), or it is too large (413). */
export class FileError extends Error {
  constructor(readonly status: number, readonly retryAfterMs: number | null = null) {
    super("The file could not be carried.");
  }
}

/** Seals a file and uploads it for one room, with which it is purged. Raises FileError. */
export async function upload(bytes: Uint8Array<ArrayBuffer>, roomId: string, token: string): Promise<EncryptedFile> {
  const { data, info } = await encryptAttachment(bytes.buffer);
  const query = new URLSearchParams({ "jp.madoguchi.room_id": roomId });
  const answer = await ask(`/_matrix/media/v3/upload?${query.toString()}`, token, {
    method: "POST", body: data, headers: { "Content-Type": "application/octet-stream" },
  });
  const { content_uri: url } = (await answer.json()) as { content_uri: string };
  return { ...info, url } as EncryptedFile;
}

/** Fetches and opens a file. Raises FileError, or an Error when it is not the file that was sent. */
export async function download(file: EncryptedFile, token: string): Promise<ArrayBuffer> {
  const [, server = "", id = ""] = /^mxc:\/\/([^/]+)\/([A-Za-z0-9_-]+)$/u.exec(file.url) ?? [];
  if (id === "") throw new FileError(404);
  const answer = await ask(`/_matrix/client/v1/media/download/${encodeURIComponent(server)}/${id}`, token, {});
  if (Number(answer.headers.get("Content-Length")) > MOST_BYTES) {
    await answer.body?.cancel();
    throw new FileError(413);
  }
  const bytes = await answer.arrayBuffer();
  if (bytes.byteLength > MOST_BYTES) throw new FileError(413);
  return decryptAttachment(bytes, file as IEncryptedFile);
}

async function ask(path: string, token: string, request: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { ...request, headers: { ...request.headers, Authorization: `Bearer ${token}` } });
  } catch {
    throw new FileError(0);
  }
  if (answer.ok) return answer;
  const told = (await answer.json().catch(() => ({}))) as { retry_after_ms?: number };
  throw new FileError(answer.status, told.retry_after_ms ?? null);
}
