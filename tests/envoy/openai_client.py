"""The openai client against a tiergate stack: `openai_client.py URL TIER SCENARIO`.

Prints what the client saw as one JSON object. The client is used as its users do; only the
account headers are added, as the operator's gateway would.
"""

import json
import sys
import time

import openai

url, tier, scenario = sys.argv[1:]


def client(account, retries):
    return openai.OpenAI(
        base_url=f"{url}/v1",
        api_key="sk-demo",
        max_retries=retries,
        default_headers={"x-account-id": account, "x-account-tier": tier},
    )


def chat(client, **more):
    messages = [{"role": "user", "content": "hi"}]
    return client.chat.completions.create(model="demo", messages=messages, **more)


def plain():
    answer = chat(client("plain", 0))
    return {"words": answer.choices[0].message.content.split(), "used": answer.usage.total_tokens}


def stream():
    options = {"include_usage": True}
    chunks = list(chat(client("stream", 0), stream=True, stream_options=options))
    words = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    return {"words": [w.strip() for w in words], "used": chunks[-1].usage.total_tokens}


def refused(account, retries):
    """Asks until it is refused; what the error says, and how long the last call took."""
    asking = client(account, retries)
    for _ in range(20):
        start = time.monotonic()
        try:
            chat(asking)
        except openai.RateLimitError as error:
            return {
                "status": error.status_code,
                "code": error.code,
                "message": error.message,
                "wait_ms": int(error.response.headers["retry-after-ms"]),
                "took_ms": int((time.monotonic() - start) * 1000),
            }
    return {}


def retried():
    """What the first refusal tells to wait, and how long a client that retries takes."""
    told = refused("retried", 0)["wait_ms"]
    start = time.monotonic()
    chat(client("retried", 2))
    return {"told_ms": told, "took_ms": int((time.monotonic() - start) * 1000)}


scenarios = {
    "plain": plain,
    "stream": stream,
    "refused": lambda: refused("refused", 0),
    "retried": retried,
    "patient": lambda: refused("patient", 5),
}
print(json.dumps(scenarios[scenario]()))
