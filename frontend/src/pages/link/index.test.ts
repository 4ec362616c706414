import { expect, test } from "vitest";
import { acceptanceOf } from ".";

const filled = (name: string) => `<${name}>`;

test("each kind of link sends what the server does not know yet", () => {
  expect(acceptanceOf("T", { purpose: "setup", email: null }, filled)).toEqual({
    token: "T",
    password: "<password>",
    name: "<name>",
    email: "<email>",
  });
  expect(acceptanceOf("T", { purpose: "invite", email: "a@b.c" }, filled)).toEqual({
    token: "T",
    password: "<password>",
    name: "<name>",
  });
  expect(acceptanceOf("T", { purpose: "invite", email: null }, filled)).toHaveProperty("email");
  expect(acceptanceOf("T", { purpose: "reset", email: "a@b.c" }, filled)).toEqual({
    token: "T",
    password: "<password>",
  });
});
