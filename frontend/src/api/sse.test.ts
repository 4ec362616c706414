import { describe, expect, test } from "vitest";
import { FrameParser, frames } from "./sse";

const STREAM =
  "\u003a ping\n\nid: 1\nevent: start\ndata: {}\n\nid: 2\r\nevent: delta\r\ndata: 안녕\r\ndata:😀\r\n\r\nevent: cut";
const EXPECTED = [
  { event: "start", data: "{}", id: "1" },
  { event: "delta", data: "안녕\n😀", id: "2" },
];

describe("FrameParser", () => {
  test("reads comments, CRLF, several data lines and leaves an unfinished frame", () => {
    expect(new FrameParser().push(STREAM)).toEqual(EXPECTED);
  });

  test.each([1, 2, 3, 7])("gives the same frames in pieces of %i", (size) => {
    const parser = new FrameParser();
    const found = [];
    for (let at = 0; at < STREAM.length; at += size) {
      found.push(...parser.push(STREAM.slice(at, at + size)));
    }
    expect(found).toEqual(EXPECTED);
  });

  test("a field without a value, and an event without data, do no harm", () => {
    expect(new FrameParser().push("event\nid: 7\n\ndata\n\n")).toEqual([
      { event: "message", data: "", id: "7" },
    ]);
  });
});

describe("frames", () => {
  test("joins a character whose bytes arrive apart", async () => {
    const bytes = new TextEncoder().encode("data: 한\n\n");
    const body = new ReadableStream({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const found = [];
    for await (const together of frames(body, 1000)) found.push(...together);
    expect(found).toEqual([{ event: "message", data: "한", id: "" }]);
  });

  test("gives up on a silent connection", async () => {
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>();
    await expect(frames(body, 5).next()).rejects.toThrow(TypeError);
  });
});
