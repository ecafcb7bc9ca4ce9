"""One client library against one refusal: `cell.py URL LIBRARY ACCOUNT TIER STREAM`.

Calls until the library raises, at most four times, and prints what its user sees of the last call as
one JSON object: the exception, its status and code, the number of tries and the waits between them. The
library has its own settings for retries. Only the account headers are added, as a gateway would.
"""

import json
import sys
import time

url, library, account, tier, stream = sys.argv[1:]
stream = stream == "stream"
headers = {"x-demo-chunk-ms": "1"}
if account != "-":
    headers["x-account-id"] = account
if tier != "-":
    headers["x-account-tier"] = tier
tries = []


def count(client):
    """Notes the moment of each request that the library makes."""
    client.event_hooks = {"request": [lambda _: tries.append(time.monotonic())]}


def openai_call():
    import openai

    client = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-demo", default_headers=headers)
    count(client._client)
    messages = [{"role": "user", "content": "hi"}]

    def call():
        answer = client.chat.completions.create(model="demo", messages=messages, stream=stream)
        return list(answer) if stream else answer

    return call


def anthropic_call():
    import anthropic

    client = anthropic.Anthropic(base_url=url, api_key="sk-demo", default_headers=headers)
    count(client._client)
    messages = [{"role": "user", "content": "hi"}]

    def call():
        answer = client.messages.create(
            model="demo", max_tokens=16, messages=messages, stream=stream
        )
        return list(answer) if stream else answer

    return call


def gemini_call(retries=None):
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url=url, headers=headers, retry_options=retries)
    client = genai.Client(api_key="demo", http_options=options)
    count(client._api_client._httpx_client)

    def call():
        models = client.models
        if stream:
            return list(models.generate_content_stream(model="demo", contents="hi"))
        return models.generate_content(model="demo", contents="hi")

    return call


def patient_gemini_call():
    from google.genai import types

    return gemini_call(types.HttpRetryOptions(attempts=3))


def seen(error):
    """What an exception tells: each library has its own names for it."""
    body = getattr(error, "body", None) or getattr(error, "details", None)
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    error_of = body.get("error", body) if isinstance(body, dict) else {}
    return {
        "raises": type(error).__name__,
        "status": status if isinstance(status, int) else None,
        "body": error_of,
        "text": str(error),
    }


calls = {
    "openai": openai_call,
    "anthropic": anthropic_call,
    "google-genai": gemini_call,
    "google-genai, 3 attempts": patient_gemini_call,
}
call = calls[library]()
result = {"raises": None, "status": 200, "body": {}, "text": ""}
began = time.monotonic()
for _ in range(4):
    tries.clear()
    began = time.monotonic()
    try:
        call()
    except Exception as error:  # whatever a library raises is what its user sees
        result = seen(error)
        break
    if len(tries) > 1:
        break  # it was refused, waited, and was served
waits = [round((b - a) * 1000) for a, b in zip(tries, tries[1:])]
result |= {"tries": len(tries), "waits_ms": waits, "took_ms": round((time.monotonic() - began) * 1000)}
print(json.dumps(result))
