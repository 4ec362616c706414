import { beforeEach, expect, test } from "vitest";
import { json, serve } from "../../api/fake-server";
import { loadInfo } from "../../app/server";
import { nameOf, refuse, uploads, visibleFiles } from "./uploads";

function file(path: string, content = "x"): File {
  const made = new File([content], path.split("/").at(-1) ?? "");
  if (path.includes("/")) Object.defineProperty(made, "webkitRelativePath", { value: path });
  return made;
}

beforeEach(async () => {
  serve(
    json({
      media_types: [
        { suffix: ".pdf", media_type: "application/pdf" },
        { suffix: ".hwp", media_type: "application/x-hwp" },
      ],
      limits: { max_upload_bytes: 4, max_question_chars: 8000 },
    }),
  );
  await loadInfo();
});

test("a file of a folder is named with the folders below the one that was picked", () => {
  expect(nameOf(file("a.pdf"))).toBe("a.pdf");
  expect(nameOf(file("회사/a.pdf"))).toBe("a.pdf");
  expect(nameOf(file("회사/인사/휴가/a.pdf"))).toBe("인사 › 휴가 › a.pdf");
  expect(nameOf(file(`회사/${"가".repeat(300)}/a.pdf`))).toHaveLength(255);
});

test("hidden files and folders stay behind", () => {
  const all = ["a/b.pdf", "a/.git/c.pdf", "a/.DS_Store", ".env"].map((path) => file(path));
  expect(visibleFiles(all).map(nameOf)).toEqual(["b.pdf"]);
});

test("what the server would refuse is refused before it is sent", () => {
  expect(refuse(file("보고서.PDF"))).toBeUndefined();
  expect(refuse(file("virus.exe"))?.code).toBe("unsupported_type");
  expect(refuse(file("a.hwp", ""))?.code).toBe("empty_file");
  expect(refuse(file("a.hwp", "12345"))?.code).toBe("too_large");
});

test("the page is not left without a question while files are on their way", () => {
  const asked = () => !dispatchEvent(new Event("beforeunload", { cancelable: true }));
  const one = { file: file("a.pdf"), collection: undefined, share: 0 };
  uploads.value = [{ ...one, state: "sending" }];
  expect(asked()).toBe(true);
  uploads.value = [{ ...one, state: "done" }];
  expect(asked()).toBe(false);
});
