//! Bodies of requests, and a comparison of their reader with `serde_json`.

use super::*;
use crate::tokens::dialect::{self, TABLE};

/// The dialects, with pointers to the model.
fn with_models(pointers: &[&str]) -> Dialects {
    let mut dialects = Dialects::of(TABLE);
    for pointer in pointers {
        assert!(dialects.add_model(pointer), "{pointer}");
    }
    dialects
}

fn asked(body: &str) -> Option<Asked> {
    read(body.as_bytes(), &dialect::ALL).asked
}

fn completion(body: &str) -> (Option<u64>, u64) {
    let asked = asked(body).unwrap();
    (asked.completion, asked.choices)
}

#[test]
fn the_completion_is_the_most_that_is_asked_for() {
    for (body, tokens, choices) in [
        (r#"{"max_tokens":50}"#, Some(50), 1),
        (
            r#"{"max_tokens":50,"max_completion_tokens":70,"n":3}"#,
            Some(70),
            3,
        ),
        (r#"{"max_output_tokens":90}"#, Some(90), 1),
        (r#"{"max_tokens":null,"n":0}"#, None, 1),
        (r#"{"max_tokens":-5,"n":"2"}"#, None, 1),
        (r#"{"max_tokens":1.5,"n":1000000}"#, None, 128),
        (r#"{"max_tokens":1e3,"n":2.0}"#, Some(1000), 2),
        (
            r#"{"max_completion_tokens":1,"max_tokens":100000}"#,
            Some(100_000),
            1,
        ),
        (r#"{"max_tokens":70,"max_tokens":1}"#, Some(70), 1),
        (
            r#"{"max_tokens":99999999999999999999}"#,
            Some(4_294_967_295),
            1,
        ),
        (r#"{"max\u005ftokens":5,"x":[NaN]}"#, Some(5), 1),
        (r#"{"x":{"max_tokens":5},"generationConfig":7}"#, None, 1),
        ("{}", None, 1),
    ] {
        assert_eq!(completion(body), (tokens, choices), "{body}");
    }
}

#[test]
fn every_dialect_says_its_completion() {
    for body in [
        r#"{"max_tokens":9}"#,
        r#"{"max_completion_tokens":9}"#,
        r#"{"max_output_tokens":9}"#,
        r#"{"max_tokens_to_sample":9}"#,
        r#"{"generationConfig":{"maxOutputTokens":9}}"#,
        r#"{"generation_config":{"max_output_tokens":9}}"#,
        r#"{"options":{"num_predict":9}}"#,
        r#"{"inferenceConfig":{"maxTokens":9}}"#,
        r#"{"textGenerationConfig":{"maxTokenCount":9}}"#,
        r#"{"max_gen_len":9}"#,
        r#"{"parameters":{"max_new_tokens":9}}"#,
        r#"{"parameters":{"max_tokens":9}}"#,
    ] {
        assert_eq!(completion(body), (Some(9), 1), "{body}");
        // Ollama's values for no maximum.
        for none in ["-1", "-2"] {
            let body = body.replace('9', none);
            assert_eq!(completion(&body), (None, 1), "{body}");
        }
    }
    for body in [
        r#"{"n":3}"#,
        r#"{"n":2,"best_of":3}"#,
        r#"{"generationConfig":{"candidateCount":3}}"#,
        r#"{"generation_config":{"candidate_count":3}}"#,
        r#"{"num_return_sequences":3}"#,
        r#"{"parameters":{"num_return_sequences":3}}"#,
        r#"{"parameters":{"n":3}}"#,
        r#"{"num_generations":3}"#,
    ] {
        assert_eq!(completion(body), (None, 3), "{body}");
    }
}

#[test]
fn each_prompt_of_a_list_counts() {
    for (prompt, prompts) in [
        (r#""one""#, 1),
        ("[]", 1),
        (r#"["one"]"#, 1),
        (r#"["a","b","c"]"#, 3),
        ("[1,2,3,4]", 1),
        ("[[1,2],[3]]", 2),
        ("null", 1),
        (r#"{"id":"p","version":"2","variables":["x"]}"#, 1),
    ] {
        let body = format!(r#"{{"prompt":{prompt}}}"#);
        assert_eq!(asked(&body).unwrap().prompts, prompts, "{body}");
    }
}

#[test]
fn what_is_no_object_is_not_read() {
    let deep = format!("{{\"a\":{}", "[".repeat(10_000));
    for body in [
        "",
        "[]",
        "{",
        "{\"a\":",
        "\u{1f}\u{8b}",
        &deep,
        "null",
        "{}{}",
        "{}[{}]",
        "{\0\"\0n\0\"\0:\x001\0}\0",
    ] {
        let read = read(body.as_bytes(), &with_models(&["/model"]));
        let unread = ReadBody::unread(u64::try_from(body.len()).unwrap());
        assert_eq!(read, unread, "{body}");
    }
}

/// Long media: base64 alone, and as a URL.
fn media(length: usize) -> [String; 2] {
    let bytes = "A".repeat(length);
    let url = format!("data:image/png;base64,{bytes}");
    [bytes, url.chars().take(length).collect()]
}

#[test]
fn media_are_told_from_text_by_their_place() {
    let [bytes, url] = media(2_000);
    for (shape, value) in [
        (
            r#"{"messages":[{"content":[{"image_url":{"url":"@"}}]}]}"#,
            &url,
        ),
        (r#"{"messages":[{"content":[{"image_url":"@"}]}]}"#, &url),
        (
            r#"{"messages":[{"content":[{"input_audio":{"data":"@"}}]}]}"#,
            &bytes,
        ),
        (
            r#"{"messages":[{"content":[{"file":{"file_data":"@"}}]}]}"#,
            &url,
        ),
        (r#"{"input":[{"content":[{"image_url":"@"}]}]}"#, &url),
        (r#"{"input":[{"content":[{"file_data":"@"}]}]}"#, &url),
        (r#"{"input":[{"output":[{"image_url":"@"}]}]}"#, &url),
        (r#"{"input":[{"output":[{"file_data":"@"}]}]}"#, &bytes),
        (
            r#"{"messages":[{"content":[{"source":{"data":"@"}}]}]}"#,
            &bytes,
        ),
        (
            r#"{"messages":[{"content":[{"content":[{"source":{"data":"@"}}]}]}]}"#,
            &bytes,
        ),
        (
            r#"{"contents":[{"parts":[{"inlineData":{"data":"@"}}]}]}"#,
            &bytes,
        ),
        (
            r#"{"contents":[{"parts":[{"inline_data":{"data":"@"}}]}]}"#,
            &bytes,
        ),
        (r#"{"images":["@"]}"#, &bytes),
        (r#"{"messages":[{"images":["@"]}]}"#, &bytes),
        (
            r#"{"messages":[{"content":[{"image":{"source":{"bytes":"@"}}}]}]}"#,
            &bytes,
        ),
        (
            r#"{"messages":[{"content":[{"document":{"source":{"bytes":"@"}}}]}]}"#,
            &bytes,
        ),
        (
            r#"{"messages":[{"content":[{"video":{"source":{"bytes":"@"}}}]}]}"#,
            &bytes,
        ),
    ] {
        let found = asked(&shape.replace('@', value)).unwrap().media;
        assert_eq!((found.count, found.bytes), (1, 2_000), "{shape}");
        for (value, why) in [
            (&media(1_024)[0], "short"),
            (&"plain text. ".repeat(500), "text"),
        ] {
            let found = asked(&shape.replace('@', value)).unwrap().media;
            assert_eq!(found.count, 0, "{shape}: {why}");
        }
    }
    for shape in [
        r#"{"messages":[{"content":"@"}]}"#,
        r#"{"messages":[{"content":[{"text":"@"}]}]}"#,
        r#"{"prompt":"@"}"#,
        r#"{"data":"@","file_data":"@"}"#,
    ] {
        let found = asked(&shape.replace('@', &url)).unwrap().media;
        assert_eq!(found.count, 0, "{shape}");
    }
    let link = format!("https://{bytes}");
    let body = r#"{"messages":[{"content":[{"image_url":{"url":"@"}}]}]}"#;
    assert_eq!(asked(&body.replace('@', &link)).unwrap().media.count, 0);
}

fn model_at(pointer: &str, body: &str) -> ModelName {
    let read = read(body.as_bytes(), &with_models(&[pointer]));
    read.models.into_iter().next().unwrap_or_default()
}

fn model(body: &str) -> ModelName {
    model_at("/model", body)
}

fn named(name: &str) -> ModelName {
    ModelName::Model(name.to_owned())
}

#[test]
fn a_model_is_one_text_at_its_pointer() {
    for (body, found) in [
        (r#"{"model":"k2"}"#, named("k2")),
        (r#"{"m\u006fdel":"k\u0032, \ud83d\ude00"}"#, named("k2, 😀")),
        (r#"{"x":{"model":"k2"}}"#, ModelName::Nothing),
        (r#"{"model":""}"#, ModelName::Nothing),
        (r#"{"model":null}"#, ModelName::Nothing),
        ("{}", ModelName::Nothing),
        (r#"{"model":7}"#, ModelName::Unreadable),
        (r#"{"model":{"model":"k2"}}"#, ModelName::Unreadable),
        (r#"{"model":["k2"]}"#, ModelName::Unreadable),
        (r#"{"model":"\ud83d"}"#, ModelName::Unreadable),
        (r#"{"model":"k2","model":"k2"}"#, ModelName::Unreadable),
        (r#"{"model":null,"model":"k2"}"#, ModelName::Unreadable),
        (r#"{"model":"k2","Model":"k3"}"#, ModelName::Unreadable),
        (r#"{"MODEL":"k3"}"#, ModelName::Unreadable),
        (r#"{"model":"k2"}{}"#, ModelName::Unreadable),
        (r#"[{"model":"k2"}]"#, ModelName::Unreadable),
        (r#"{"model":"k2""#, ModelName::Unreadable),
    ] {
        assert_eq!(model(body), found, "{body}");
    }
    for (length, is_read) in [(65, true), (256, true), (257, false), (9_000, false)] {
        let name = "m".repeat(length);
        let found = model(&format!(r#"{{"model":"{name}"}}"#));
        assert_eq!(found == named(&name), is_read, "{length}");
        let escaped = "\\u006d".repeat(length);
        let found = model(&format!(r#"{{"model":"{escaped}"}}"#));
        assert_eq!(found == named(&name), is_read, "{length}");
    }
    let inside = r#"{"a":{"b/c":"k2"},"b/c":"x"}"#;
    assert_eq!(model_at("/a/b~1c", inside), named("k2"));
    let body = br#"{"b":"second","a":"first","max_tokens":3}"#;
    let read = read(body, &with_models(&["/a", "/b"]));
    assert_eq!(read.models, [named("first"), named("second")]);
    assert_eq!(read.asked.unwrap().completion, Some(3));
}

#[test]
fn a_model_is_read_in_the_start_of_a_longer_body() {
    let body = format!(r#"{{"model":"k2","x":"{}"}}"#, "x".repeat(500));
    let model = |start: &[u8]| {
        let read = read_start(start, &with_models(&["/model"]));
        assert_eq!(read.asked, None);
        read.models.into_iter().next().unwrap_or_default()
    };
    for length in 0..body.len() {
        let wanted = match length < r#"{"model":"k2""#.len() {
            true => ModelName::Unreadable,
            false => named("k2"),
        };
        assert_eq!(model(&body.as_bytes()[..length]), wanted, "{length}");
    }
    let twice = br#"{"model":"k2","model":"k3","x":""#;
    assert_eq!(model(twice), ModelName::Unreadable);
    let no_name = br#"{"model":null,"x":""#;
    assert_eq!(model(no_name), ModelName::Unreadable, "it may come later");
}

/// A request of these headers.
struct WithHeaders<'a>(&'a [(&'a str, &'a str)]);

impl Request for WithHeaders<'_> {
    fn header(&self, name: &str) -> Header<'_> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or(Header::Absent, |(_, value)| Header::Once(value.as_bytes()))
    }

    fn has_body(&self) -> bool {
        true
    }

    fn property(&self, _: &[String]) -> Option<Vec<u8>> {
        None
    }
}

#[test]
fn headers_tell_which_bodies_are_read_and_which_are_media() {
    for (kind, is_read, is_media) in [
        ("application/json", true, false),
        ("Multipart/form-data; boundary=x", false, true),
        ("image/png", true, true),
        ("AUDIO/wav", true, true),
        ("video/mp4", true, true),
        ("application/octet-stream", true, true),
        ("application/grpc", false, false),
        ("text/plain", true, false),
    ] {
        let request = WithHeaders(&[("content-type", kind)]);
        assert_eq!(is_readable(&request), is_read, "{kind}");
        assert_eq!(is_media_upload(&request), is_media, "{kind}");
    }
    assert!(!is_readable(&WithHeaders(&[("content-encoding", "gzip")])));
    assert!(!is_readable(&WithHeaders(&[("upgrade", "websocket")])));
    for (length, is_short) in [("5", true), ("6", false), ("x", false)] {
        assert_eq!(
            fits(&WithHeaders(&[("content-length", length)]), 5),
            is_short
        );
    }
    assert!(fits(&WithHeaders(&[]), 5));
}
