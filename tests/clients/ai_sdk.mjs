// What the Vercel AI SDK asks for, with two settings. Told as in told.py.

import assert from "node:assert/strict";

import { openai } from "@ai-sdk/openai";
import { embedMany, generateText, streamText } from "ai";

const REQUEST_ID = "x-openai-proxy-request-id";
const prompt = "how many people need water on a day";
const providerOptions = { openai: { user: "alice" } };

const calls = {
  async generate() {
    const { text, usage, response } = await generateText({ model: openai("gpt-5-mini"), prompt, providerOptions });
    assert(text);
    return told(response, usage);
  },
  async stream() {
    return streamed(openai("gpt-4o-mini"));
  },
  async generateByChat() {
    const { text, usage, response } = await generateText({ model: openai.chat("gpt-4o-mini"), prompt, providerOptions });
    assert(text);
    return told(response, usage);
  },
  async streamByChat() {
    return streamed(openai.chat("gpt-4o"));
  },
  async embed() {
    const { embeddings, usage, responses } = await embedMany({
      model: openai.embedding("text-embedding-3-small"),
      values: [prompt, "a house"],
      providerOptions,
    });
    assert.deepEqual(embeddings.map((one) => one.length), [4, 4]);
    return { request_id: responses[0].headers[REQUEST_ID], tokens: [usage.tokens, 0] };
  },
  async failedThreeTimes() {
    // It tries again, and does not say so in a header
    const call = generateText({ model: openai("gpt-4o-mini"), prompt, headers: { "x-upstream-orders": "fail=503" } });
    await assert.rejects(call, { name: "AI_RetryError" });
  },
};

async function streamed(model) {
  const result = streamText({ model, prompt, providerOptions, onError: ({ error }) => assert.fail(error) });
  let text = "";
  for await (const delta of result.textStream) text += delta;
  assert(text);
  return told(await result.response, await result.totalUsage);
}

function told(response, usage) {
  return { request_id: response.headers[REQUEST_ID], tokens: [usage.inputTokens, usage.outputTokens] };
}

for (const [call, made] of Object.entries(calls)) console.log(JSON.stringify({ call, ...(await made()) }));
