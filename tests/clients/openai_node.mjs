// What the official SDK for JavaScript offers, with two settings. Told as in told.py.

import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { stat, writeFile } from "node:fs/promises";

import OpenAI from "openai";

const REQUEST_ID = "x-openai-proxy-request-id";
const QUESTION = "how many people need water on a day";
const messages = [{ role: "user", content: QUESTION }];
const user = "alice";
const client = new OpenAI();

const calls = {
  async chat() {
    const { data, response, request_id } = await client.chat.completions
      .create({ model: "gpt-4o-mini", messages, user })
      .withResponse();
    assert(data.choices[0].message.content);
    assert.match(request_id, /^req_/);
    return told(response, data.usage);
  },
  async chatStream() {
    const { data: stream, response } = await client.chat.completions
      .create({ model: "gpt-4o-mini", messages, user, stream: true })
      .withResponse();
    for await (const chunk of stream) {
      assert(chunk.choices.length, "a chunk without choices, and the usage was not asked for");
      assert(!("usage" in chunk));
    }
    return told(response);
  },
  async chatStreamHelper() {
    const stream = client.chat.completions.stream({
      model: "gpt-5-mini",
      messages,
      user,
      stream_options: { include_usage: true },
    });
    let text = "";
    stream.on("content", (delta) => (text += delta));
    assert.equal(await stream.finalContent(), text);
    return { tokens: tokens(await stream.totalUsage()) };
  },
  async chatStreamLeft() {
    const stream = await client.chat.completions.create(
      { model: "gpt-4o-mini", messages, user, stream: true },
      { headers: { "x-upstream-orders": "deltas=50 slow=5" } },
    );
    for await (const _ of stream) break;
  },
  async response() {
    const { data, response } = await client.responses.create({ model: "gpt-5-mini", input: QUESTION, user }).withResponse();
    assert(data.output_text);
    return told(response, data.usage);
  },
  async responseStreamHelper() {
    const stream = client.responses.stream({ model: "o4-mini", input: QUESTION, user });
    let text = "";
    for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
    const whole = await stream.finalResponse();
    assert.equal(whole.output_text, text);
    return { tokens: tokens(whole.usage) };
  },
  async responseReadAgainPageByPage() {
    const created = await client.responses.create({ model: "gpt-4o-mini", input: `${QUESTION} again`, user });
    assert.equal((await client.responses.retrieve(created.id)).id, created.id);
    for await (const _ of client.responses.inputItems.list(created.id)) assert.fail("there are none");
  },
  async embeddings() {
    const { data, response } = await client.embeddings
      .create({ model: "text-embedding-3-small", input: [QUESTION, "a house"], user })
      .withResponse();
    assert.deepEqual(data.data.map((one) => one.embedding.length), [4, 4]);
    return told(response, data.usage);
  },
  async file() {
    await writeFile("lines.jsonl", '{"water": "für"}\r\n'.repeat(10_000));
    const made = await client.files.create({ file: createReadStream("lines.jsonl"), purpose: "user_data" });
    const { size } = await stat("lines.jsonl");
    assert.deepEqual([made.filename, made.bytes], ["lines.jsonl", size]);
    const listed = [];
    for await (const one of client.files.list({ limit: 2 })) listed.push(one.id);
    assert.deepEqual(listed, [made.id]);
    assert.match(await (await client.files.content(made.id)).text(), /^\{"water": "für"\}\r\n/);
    assert((await client.files.delete(made.id)).deleted);
  },
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert(names.includes("gpt-4o"));
  },
  async triedThreeTimes() {
    const { data, response } = await client.chat.completions
      .create({ model: "gpt-4o-mini", messages, user }, { headers: { "x-upstream-orders": "fail=500 flaky=2" } })
      .withResponse();
    return told(response, data.usage);
  },
  async notFound() {
    const call = client.chat.completions.create({ model: "no-such-model", messages, user });
    await assert.rejects(call, (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
  },
  async refused() {
    const call = client.responses.create({ model: "gpt-5-mini", input: QUESTION, user, background: true });
    await assert.rejects(call, (error) => error instanceof OpenAI.PermissionDeniedError && /access file/.test(error.message));
  },
};

function tokens(usage) {
  return [usage.prompt_tokens ?? usage.input_tokens, usage.completion_tokens ?? usage.output_tokens ?? 0];
}

function told(response, usage) {
  return { request_id: response.headers.get(REQUEST_ID), ...(usage && { tokens: tokens(usage) }) };
}

for (const [call, made] of Object.entries(calls)) console.log(JSON.stringify({ call, ...(await made()) }));
