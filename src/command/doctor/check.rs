//! A check of `trailhound doctor`: what was looked at, what was found, and what to do.

use serde_json::{Value, json};
use trailhound_detect::Language;

/// A text in English and Chinese.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckText {
    en: String,
    zh: String,
}

impl CheckText {
    /// A text in both languages.
    pub(super) fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }

    /// The text in English and in Chinese.
    pub(super) fn both(&self) -> (&str, &str) {
        (&self.en, &self.zh)
    }

    fn pick(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Zh => &self.zh,
        }
    }
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckArea {
    Configuration,
    Source,
    Lake,
    Sink,
    Port,
}

impl CheckArea {
    fn name(self, language: Language) -> &'static str {
        let (en, zh) = match self {
            Self::Configuration => ("configuration", "配置"),
            Self::Source => ("source", "数据源"),
            Self::Lake => ("lake", "数据湖"),
            Self::Sink => ("sink", "告警通道"),
            Self::Port => ("port", "端口"),
        };
        match language {
            Language::En => en,
            Language::Zh => zh,
        }
    }
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Right,
    /// It works, and there is something to know.
    Note,
    /// It could not be found out.
    Unknown,
    /// It does not work.
    Wrong,
}

impl Verdict {
    /// The name, as JSON has it.
    fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Note => "note",
            Self::Unknown => "unknown",
            Self::Wrong => "wrong",
        }
    }

    fn display_name(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::En, _) => self.name(),
            (Language::Zh, Self::Right) => "正常",
            (Language::Zh, Self::Note) => "提示",
            (Language::Zh, Self::Unknown) => "未知",
            (Language::Zh, Self::Wrong) => "异常",
        }
    }
}

/// One line of the doctor's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    area: CheckArea,
    /// Which source, file, sink or address.
    subject: String,
    pub(super) verdict: Verdict,
    found: CheckText,
    /// What to do; `None` where nothing is to be done.
    advice: Option<CheckText>,
}

/// Header of the table and the CSV, in English and Chinese.
const HEADER: [[&str; 5]; 2] = [
    ["area", "subject", "state", "found", "what to do"],
    ["类别", "对象", "状态", "检查结果", "处理办法"],
];

impl Check {
    /// A check of something that is as it should be.
    pub(super) fn right(area: CheckArea, subject: impl Into<String>, found: CheckText) -> Self {
        Self { area, subject: subject.into(), verdict: Verdict::Right, found, advice: None }
    }

    /// A check that found something, with what to do about it.
    pub(super) fn found(
        area: CheckArea,
        subject: impl Into<String>,
        verdict: Verdict,
        found: CheckText,
        advice: CheckText,
    ) -> Self {
        Self { area, subject: subject.into(), verdict, found, advice: Some(advice) }
    }

    /// [`Self::found`] of something that does not work.
    pub(super) fn wrong(
        area: CheckArea,
        subject: impl Into<String>,
        found: CheckText,
        advice: CheckText,
    ) -> Self {
        Self::found(area, subject, Verdict::Wrong, found, advice)
    }

    /// The columns of the table, in `language`.
    pub(super) fn header(language: Language) -> [&'static str; 5] {
        HEADER[usize::from(language == Language::Zh)]
    }

    /// The fields below [`Self::header`].
    pub(super) fn fields(&self, language: Language) -> [String; 5] {
        [
            self.area.name(language).to_owned(),
            self.subject.clone(),
            self.verdict.display_name(language).to_owned(),
            self.found.pick(language).to_owned(),
            self.advice.as_ref().map_or("", |advice| advice.pick(language)).to_owned(),
        ]
    }

    /// The check as JSON. Area and state have their English names in any language.
    pub(super) fn json(&self, language: Language) -> Value {
        json!({
            "area": self.area.name(Language::En), "subject": self.subject, "state": self.verdict.name(),
            "found": self.found.pick(language), "what_to_do": self.advice.as_ref().map(|advice| advice.pick(language)),
        })
    }
}
