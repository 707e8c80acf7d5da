//! Looks at the topics of a source at intervals: what the broker holds, and how much of it the lake has. So a topic of which
//! nothing is read is noticed, whatever the reason: another member of the group that holds the partitions, a topic without
//! events, a reader that hangs.

use super::options::Observer;
use crate::clock::Clock;
use crate::lake::{CatalogError, Lake};
use crate::source::kafka::{KafkaOptions, ProbeError, TopicPartition, TopicProbe, TopicsLook};
use crate::supervisor::Pulse;
use crate::survey::SourceSurvey;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Looks at the topics of one source.
pub(super) struct TopicSurveyor {
    pub(super) options: KafkaOptions,
    pub(super) lake: Lake,
    pub(super) clock: Clock,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) interval: Duration,
}

/// Positions of the partitions in the lake: the next offset to read.
type Positions = BTreeMap<TopicPartition, u64>;

impl TopicSurveyor {
    /// Looks until the task is aborted.
    pub(super) async fn run(&self, pulse: &Pulse) -> Result<(), String> {
        let (mut last, mut before) = (SourceSurvey::default(), Positions::new());
        let mut known = BTreeSet::new();
        loop {
            pulse.sleep(self.interval).await;
            match self.look(&mut before, &mut known).await {
                Ok(survey) => {
                    if survey.lasting() != last.lasting() {
                        tracing::info!(source = self.options.name, "seen: {}", survey.describe());
                    }
                    self.observer.surveyed(&self.options.name, &survey);
                    let stored =
                        self.lake.store_survey(&self.options.name, &survey, (self.clock)()).await;
                    // Where the lake cannot be written, the engine reports why.
                    if stored.is_ok() {
                        last = survey;
                    }
                }
                // The reader of the topics reports what is wrong with the source.
                Err(reason) => tracing::debug!(source = self.options.name, reason, "no look"),
            }
            pulse.worked();
        }
    }

    /// Looks once. `before` are the positions at the last look, `known` topics of which the lake has events.
    async fn look(
        &self,
        before: &mut Positions,
        known: &mut BTreeSet<String>,
    ) -> Result<SourceSurvey, String> {
        let options = self.options.clone();
        let look = on_thread(move || TopicProbe::connect(&options)?.look()).await?;
        let look = look.map_err(|e| e.to_string())?;
        let positions = self.positions(&look).await.map_err(|e| e.to_string())?;
        let understood = self.understood(&look, known).await.map_err(|e| e.to_string())?;
        let mut survey = survey(&look, &positions);
        let moved = positions != *before;
        survey.is_read = understood && (survey.unread == 0 || moved);
        if understood && survey.reads_nothing() {
            // What lies behind the positions may be markers of transactions, which nobody reads.
            let waiting: Vec<(TopicPartition, u64)> = look
                .partitions
                .iter()
                .map(|(at, marks)| (at.clone(), next_offset(&positions, at, marks.low)))
                .filter(|(at, next)| look.partitions[at].high > *next)
                .collect();
            let options = self.options.clone();
            let found = on_thread(move || has_messages(&options, &waiting)).await?;
            survey.is_read = !found.map_err(|e| e.to_string())?;
        }
        *before = positions;
        Ok(survey)
    }

    async fn positions(&self, look: &TopicsLook) -> Result<Positions, CatalogError> {
        let mut positions = Positions::new();
        for at in look.partitions.keys() {
            if let Some(position) = self.lake.position(&self.options.name, &at.object()).await? {
                positions.insert(at.clone(), position.records);
            }
        }
        Ok(positions)
    }

    /// True where the lake has events of a topic that is read. Asking the lake takes longer the more it holds, so the answer
    /// is kept in `known`.
    async fn understood(
        &self,
        look: &TopicsLook,
        known: &mut BTreeSet<String>,
    ) -> Result<bool, CatalogError> {
        for topic in look.partitions.keys().map(|at| &at.topic) {
            if known.contains(topic) {
                return Ok(true);
            }
            if self.lake.has_events_of(&self.options.name, topic).await? {
                known.insert(topic.clone());
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What was seen of topics.
fn survey(look: &TopicsLook, positions: &Positions) -> SourceSurvey {
    let mut survey = SourceSurvey {
        roots: look.partitions.keys().map(TopicPartition::object).collect(),
        ..SourceSurvey::default()
    };
    for (at, marks) in &look.partitions {
        let held = marks.high.saturating_sub(marks.low);
        let unread = marks.high.saturating_sub(next_offset(positions, at, marks.low)).min(held);
        survey.listed += held;
        survey.unread += unread;
    }
    survey.read = survey.listed - survey.unread;
    survey.has_content = Some(survey.listed > 0);
    for topic in &look.missing {
        survey.remarks.push(format!("the broker does not show the topic `{topic}`"));
    }
    survey
}

/// The next offset to read of a partition whose first offset is `low`.
fn next_offset(positions: &Positions, at: &TopicPartition, low: u64) -> u64 {
    positions.get(at).copied().unwrap_or(low)
}

fn has_messages(
    options: &KafkaOptions,
    waiting: &[(TopicPartition, u64)],
) -> Result<bool, ProbeError> {
    let probe = TopicProbe::connect(options)?;
    for (partition, next) in waiting {
        if probe.has_message_from(partition, *next)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs `work`, which blocks, on a thread of its own. The service does not wait for such a thread when it ends.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let work = move || {
        // Nobody receives where the service has ended.
        let _ = sender.send(work());
    };
    #[expect(clippy::disallowed_methods, reason = "the caller waits for it and sees its end")]
    let spawned = std::thread::Builder::new().name("topic survey".to_owned()).spawn(work);
    spawned.map_err(|e| e.to_string())?;
    receiver.await.map_err(|_| "the thread panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kafka::Watermarks;

    #[test]
    fn what_lies_behind_the_positions_is_unread() {
        let at = |partition| TopicPartition { topic: "trail".to_owned(), partition };
        let look = TopicsLook {
            partitions: BTreeMap::from([
                (at(0), Watermarks { low: 10, high: 30 }),
                (at(1), Watermarks { low: 0, high: 0 }),
            ]),
            missing: vec!["other".to_owned()],
            others: Vec::new(),
        };
        let seen = survey(&look, &Positions::from([(at(0), 25)]));
        assert_eq!((seen.listed, seen.read, seen.unread), (20, 15, 5));
        assert_eq!((seen.roots.len(), seen.has_content), (2, Some(true)));
        assert!(seen.remarks[0].contains("`other`"), "{:?}", seen.remarks);
        // A position before the first offset, or none, leaves everything unread.
        for positions in [Positions::new(), Positions::from([(at(0), 3)])] {
            assert_eq!(survey(&look, &positions).unread, 20);
        }
    }
}
