//! Checks what the newest objects or messages of a source decode to: the layout, and how much of the events is understood.

use super::check::{Check, CheckArea, CheckText, Verdict};
use trailhound_ingest::DecodedSample;

/// Events that are looked at.
pub(super) const EVENTS: usize = 100;
/// End of the names of the marks that an event carries where a fact of it was not understood.
const NOT_UNDERSTOOD: &str = "_not_understood";
const AREA: CheckArea = CheckArea::Source;

/// The checks of `sample`, which was taken from the source `name`.
pub(super) fn run(name: &str, sample: &DecodedSample) -> Vec<Check> {
    let DecodedSample { events, rejected, .. } = sample;
    let first = sample.rejects.first().cloned().unwrap_or_default();
    if *events == 0 {
        return vec![Check::wrong(
            AREA,
            name,
            CheckText::new(
                format!(
                    "the layout is unknown: none of the {rejected} newest records is an event; {first}"
                ),
                format!("格式未知：最新的 {rejected} 条记录都不是事件；{first}"),
            ),
            CheckText::new(
                "see whether prefix or topic are those of the trail; look at one object with `trailhound scan --no-keep FILE`",
                "检查 prefix 或 topic 是否属于该跟踪；用 `trailhound scan --no-keep FILE` 查看其中一个对象",
            ),
        )];
    }
    let mut checks = Vec::new();
    if *rejected == 0 {
        checks.push(Check::right(
            AREA,
            name,
            CheckText::new(
                format!("the layout is known: the newest {events} records are events"),
                format!("格式已知：最新的 {events} 条记录都是事件"),
            ),
        ));
    } else {
        checks.push(Check::found(
            AREA,
            name,
            Verdict::Note,
            CheckText::new(
                format!("{rejected} of the newest {} records are no events; {first}", events + rejected),
                format!("最新的 {} 条记录中有 {rejected} 条不是事件；{first}", events + rejected),
            ),
            CheckText::new(
                "they go to the table `quarantine` with their bytes; narrow the prefix or topic if they are not the trail's",
                "它们会连同原始字节进入 `quarantine` 表；若不属于该跟踪，请收窄 prefix 或 topic",
            ),
        ));
    }
    checks.push(comprehension(name, sample));
    checks
}

/// How much of the events is understood.
fn comprehension(name: &str, sample: &DecodedSample) -> Check {
    let facts: Vec<String> = sample
        .flags
        .iter()
        .filter_map(|(flag, count)| {
            let fact = flag.strip_suffix(NOT_UNDERSTOOD)?;
            Some(format!("{fact} ({count})"))
        })
        .collect();
    let events = sample.events;
    if facts.is_empty() {
        return Check::right(
            AREA,
            name,
            CheckText::new(
                format!("the last {events} events are understood"),
                format!("最近 {events} 条事件均可解析"),
            ),
        );
    }
    let facts = facts.join(", ");
    Check::wrong(
        AREA,
        name,
        CheckText::new(
            format!(
                "of the last {events} events, these facts are there and not understood: {facts}"
            ),
            format!("最近 {events} 条事件中，以下内容存在但无法解析：{facts}"),
        ),
        CheckText::new(
            "rules that need these facts cannot judge these events; docs/events.md says which encodings are understood: have whatever stands between trail and source pass the events on as they are",
            "依赖这些内容的规则无法判断这些事件；可识别的编码见 docs/events.md：请让跟踪与数据源之间的环节原样传递事件",
        ),
    )
}
