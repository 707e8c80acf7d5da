//! Chat robots as the services run them: they demand a keyword, limit the length of a text, and
//! answer errors with status 200.

use crate::support::http_receiver::{HttpReceiver, Reply};
use crate::support::program::Program;
use serde_json::Value;

/// The word that the robots of these tests demand.
const KEYWORD: &str = "监控告警";

/// A robot that answers `accepted` to a message with the keyword, else `refused`.
fn robot(refused: &'static str, accepted: &'static str) -> HttpReceiver {
    HttpReceiver::start(move |_, request| {
        let has_keyword = request.body.contains(KEYWORD);
        Reply::Respond(200, "", if has_keyword { accepted } else { refused })
    })
}

/// Runs `sinks test` for a sink of `kind` at `port`. Returns its exit status and output.
fn test_sink(program: &Program, kind: &str, port: u16, more: &str) -> (i32, String) {
    program.write("url", format!("http://127.0.0.1:{port}/robot"));
    program.write(
        "c.toml",
        format!(
            "time_zone = \"Asia/Shanghai\"\n[[sink]]\nname = \"s\"\n[sink.{kind}]\nurl = \"file:url\"\nprivate_allowed = [\"127.0.0.1/32\"]\n{more}\n"
        ),
    );
    let ran = program.run(&["--config", "c.toml", "sinks", "test", "s"]);
    (ran.status, ran.out + &ran.err)
}

#[test]
fn a_robot_that_demands_a_keyword_gets_it_in_every_message() {
    let program = Program::new();
    for (kind, refused, accepted) in [
        (
            "dingtalk",
            r#"{"errcode":310000,"errmsg":"description:关键词不匹配;solution:keywords not in content"}"#,
            r#"{"errcode":0,"errmsg":"ok"}"#,
        ),
        (
            "feishu",
            r#"{"code":19024,"msg":"Key Words Not Found"}"#,
            r#"{"code":0,"msg":"success"}"#,
        ),
    ] {
        let server = robot(refused, accepted);
        let (status, said) = test_sink(&program, kind, server.port, "");
        assert!(status == 1 && said.contains("rejects it for good"), "{kind}: {said}");
        assert!(said.contains("write `keyword = "), "{kind}: {said}");
        let (status, said) = test_sink(&program, kind, server.port, "keyword = \"other\"");
        assert!(status == 1 && said.contains("keyword is not `other`"), "{kind}: {said}");
        for language in ["en", "zh"] {
            let more = format!("keyword = \"{KEYWORD}\"\nlanguage = \"{language}\"");
            let (status, said) = test_sink(&program, kind, server.port, &more);
            assert_eq!(status, 0, "{kind} {language}: {said}");
        }
        let last = server.requests().pop().expect("a message").json();
        let text = match kind {
            "dingtalk" => &last["text"]["content"],
            _ => &last["content"]["text"],
        };
        let text = text.as_str().expect("a text");
        assert!(text.starts_with(&format!("{KEYWORD} [")), "{text}");
        assert!(text.contains("+08:00"), "times are in the zone of the configuration: {text}");
    }
    let more = |keyword: &str| format!("keyword = \"{keyword}\"");
    for wrong in [String::new(), " ".to_owned(), "a\\nb".to_owned(), "词".repeat(40)] {
        let (status, said) = test_sink(&program, "dingtalk", 9, &more(&wrong));
        assert!(status == 2 && said.contains("keyword: write a word"), "{wrong}: {said}");
    }
}

#[test]
fn an_error_code_in_an_answer_with_status_200_is_a_refusal() {
    let program = Program::new();
    let cases: [(&str, &'static str, &str); 14] = [
        ("dingtalk", r#"{"errcode":310000,"errmsg":"sign not match"}"#, "rejects it for good"),
        ("dingtalk", r#"{"errcode":"310000","errmsg":"sign not match"}"#, "rejects it for good"),
        ("dingtalk", r#"{"errcode":40035,"errmsg":"缺少参数 json"}"#, "rejects it for good"),
        ("dingtalk", r#"{"errcode":130101,"errmsg":"send too fast"}"#, "does not accept it now"),
        ("dingtalk", "<html>maintenance</html>", "rejects it for good"),
        ("dingtalk", "", "rejects it for good"),
        ("wecom", r#"{"errcode":40008,"errmsg":"invalid message type"}"#, "rejects it for good"),
        ("wecom", r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, "rejects it for good"),
        (
            "wecom",
            r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
            "does not accept it now",
        ),
        ("feishu", r#"{"code":19021,"msg":"sign match fail"}"#, "rejects it for good"),
        ("feishu", r#"{"code":9499,"msg":"too many request"}"#, "does not accept it now"),
        (
            "feishu",
            r#"{"StatusCode":19022,"StatusMessage":"Ip Not Allowed"}"#,
            "rejects it for good",
        ),
        ("slack", "invalid_payload", "rejects it for good"),
        ("slack", "ok", "accepted it"),
    ];
    for (kind, answer, expected) in cases {
        let server = HttpReceiver::start(move |_, _| Reply::Respond(200, "", answer));
        let (status, said) = test_sink(&program, kind, server.port, "");
        assert_eq!(status, i32::from(expected != "accepted it"), "{kind} {answer}: {said}");
        assert!(said.contains(expected), "{kind} {answer}: {said}");
        // The operator sees the answer.
        let shown: Value = serde_json::from_str(answer).unwrap_or_default();
        for part in shown.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str())
        {
            assert!(said.contains(part), "{kind} {answer}: {said}");
        }
    }
}
