//! Finds the folders of a bucket below which a trail stores its objects by day.
//!
//! A trail writes `<prefix>/AliyunLogs/<kind>/[<directory>/<account>/]<region>/<year>/<month>/<day>/<object>`. A bucket may
//! hold several trails, many accounts and regions, and folders of other people. So every folder is looked into, whatever lies
//! beside it, and a folder of four digits counts as a year only if it holds months: it may be an account.

use super::retry::with_retries;
use crate::survey::SourceSurvey;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{ListResult, ObjectMeta, ObjectStore};
use std::collections::{BTreeSet, HashSet};

/// Levels of folders that are looked into: a prefix of several folders, then trail, kind, resource directory, account, region.
const FOLDER_DEPTH_MAX: usize = 12;
/// Folders that are looked into. A bucket of other people's data may hold any number.
const FOLDERS_MAX: usize = 20_000;
/// Listings in parallel.
const PARALLEL_LISTINGS: usize = 8;
/// The most names that a remark lists.
const NAMES_MAX: usize = 8;
/// Name of the folder that every trail makes below its prefix. It is looked into first.
const TRAIL_FOLDER: &str = "AliyunLogs";

/// What lies below the prefix of a bucket.
#[derive(Debug, Clone, Default)]
pub(crate) struct BucketMap {
    /// Folders with day folders.
    pub(crate) roots: Vec<Path>,
    /// Folders that the prefix names: one, or those whose names start with its last part.
    pub(crate) start: Vec<Path>,
    /// Objects whose keys start with a prefix that ends within a name.
    pub(crate) loose: Vec<ObjectMeta>,
    /// Objects that lie in no day folder, with the key of one.
    pub(crate) outside: Tally,
    /// Folders that were not looked into, with the path of one.
    pub(crate) unvisited: Tally,
    /// Why a folder could not be listed. The others were.
    pub(crate) failed: Option<String>,
    /// What an operator should know about the prefix, a sentence each.
    pub(crate) remarks: Vec<String>,
    /// The bucket has content; `None` where nothing lies below the prefix and the rest cannot be listed.
    pub(crate) has_content: Option<bool>,
}

impl BucketMap {
    /// The folders that are read: those with day folders, or else what the prefix names. Empty where nothing lies there.
    pub(crate) fn places(&self) -> Vec<String> {
        let loose = self.loose.first().map(|object| parent(&object.location));
        let folders: BTreeSet<&Path> = match self.roots.as_slice() {
            [] => self.start.iter().chain(&loose).collect(),
            roots => roots.iter().collect(),
        };
        folders.into_iter().map(ToString::to_string).collect()
    }
}

impl BucketMap {
    /// What was seen, without the objects of the days.
    pub(crate) fn survey(&self) -> SourceSurvey {
        let mut survey = SourceSurvey {
            roots: self.places(),
            remarks: self.remarks.clone(),
            has_content: self.has_content,
            ..SourceSurvey::default()
        };
        let (outside, unvisited) = (&self.outside, &self.unvisited);
        if !self.roots.is_empty() {
            let why = "objects that lie in no day folder";
            survey.pass_over(why, outside.count, outside.example.as_deref());
        }
        survey.pass_over(
            "folders that were not looked into, because there are too many or they lie too deep",
            unvisited.count,
            unvisited.example.as_deref(),
        );
        survey.remarks.extend(self.failed.clone());
        survey
    }
}

/// A number of things, and the name of one of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) example: Option<String>,
}

impl Tally {
    /// Counts `name`.
    pub(super) fn add(&mut self, name: &Path) {
        self.count += 1;
        self.example.get_or_insert_with(|| name.to_string());
    }
}

/// Looks into the folders below `prefix`. `years` are folders known to be years from an earlier look; those found are added.
///
/// # Errors
/// The store's error where the prefix itself cannot be listed.
pub(crate) async fn discover(
    store: &dyn ObjectStore,
    prefix: &str,
    years: &mut HashSet<Path>,
) -> object_store::Result<BucketMap> {
    let mut search = Search { store, years, map: BucketMap::default(), roots: BTreeSet::new() };
    let first = search.find_start(prefix).await?;
    search.map.has_content = Some(true);
    if search.map.start.is_empty() && search.map.loose.is_empty() {
        search.look_around(prefix).await?;
        return Ok(search.map);
    }
    search.remark_on_dates(&first);
    search.search(first).await;
    search.map.roots = search.roots.into_iter().collect();
    let is_seen = !search.map.roots.is_empty() || search.map.outside.count > 0;
    search.map.has_content =
        Some(is_seen || !search.map.loose.is_empty() || search.map.failed.is_some());
    Ok(search.map)
}

struct Search<'s> {
    store: &'s dyn ObjectStore,
    years: &'s mut HashSet<Path>,
    map: BucketMap,
    roots: BTreeSet<Path>,
}

/// A folder and what lies directly in it.
type Listing = (Path, object_store::Result<ListResult>);

impl Search<'_> {
    async fn list(&self, folder: Path) -> Listing {
        let listed = with_retries(|| self.store.list_with_delimiter(Some(&folder)).boxed()).await;
        (folder, listed)
    }

    async fn list_all(&self, folders: Vec<Path>) -> Vec<Listing> {
        futures::stream::iter(folders)
            .map(|folder| self.list(folder))
            .buffered(PARALLEL_LISTINGS)
            .collect()
            .await
    }

    /// Finds the folders that `prefix` names and lists them. Where no folder has that name, it is the beginning of names.
    async fn find_start(&mut self, prefix: &str) -> object_store::Result<Vec<Listing>> {
        let (folder, listed) = self.list(Path::parse(prefix)?).await;
        let listed = listed?;
        if !is_empty(&listed) {
            self.map.start = vec![folder.clone()];
            return Ok(vec![(folder, Ok(listed))]);
        }
        let name = prefix.rsplit('/').next().unwrap_or_default();
        if name.is_empty() {
            return Ok(Vec::new());
        }
        // Where only the prefix may be listed, its parent is refused: then nothing lies there.
        let (_, Ok(above)) = self.list(parent(&folder)).await else { return Ok(Vec::new()) };
        let begins = |path: &Path| path.filename().is_some_and(|found| found.starts_with(name));
        self.map.start =
            above.common_prefixes.into_iter().filter(|folder| begins(folder)).collect();
        self.map.loose =
            above.objects.into_iter().filter(|object| begins(&object.location)).collect();
        if !self.map.start.is_empty() {
            self.map.remarks.push(format!(
                "no folder is called `{prefix}`; {} begin with it",
                names(self.map.start.iter())
            ));
        }
        Ok(self.list_all(self.map.start.clone()).await)
    }

    /// Says what lies beside a prefix below which there is nothing.
    async fn look_around(&mut self, prefix: &str) -> object_store::Result<()> {
        self.map.has_content = Some(false);
        let mut folder = Path::parse(prefix)?;
        while folder.parts().next().is_some() {
            folder = parent(&folder);
            let (_, Ok(listed)) = self.list(folder.clone()).await else {
                self.map.has_content = None;
                self.map.remarks.push(format!(
                    "nothing lies below the prefix `{prefix}`, and what lies beside it may not be listed"
                ));
                return Ok(());
            };
            if !is_empty(&listed) {
                self.map.has_content = Some(true);
                let all: Vec<&Path> = listed
                    .common_prefixes
                    .iter()
                    .chain(listed.objects.iter().map(|object| &object.location))
                    .collect();
                self.map.remarks.push(format!(
                    "nothing lies below the prefix `{prefix}`; the bucket holds {}",
                    names(all.into_iter())
                ));
                return Ok(());
            }
        }
        self.map.remarks.push("the bucket is empty".to_owned());
        Ok(())
    }

    /// A prefix that ends with a year, month or day ends the reading with it.
    fn remark_on_dates(&mut self, first: &[Listing]) {
        for (folder, listed) in first {
            let Ok(listed) = listed else { continue };
            let parts: Vec<String> = folder.parts().map(|part| part.as_ref().to_owned()).collect();
            let dated = match parts.as_slice() {
                [.., year, month, day] if is_year(year) && is_month(month) && is_day(day) => 3,
                [.., year, month] if is_year(year) && is_month(month) => 2,
                [.., year]
                    if is_year(year) && listed.common_prefixes.iter().any(has_month_name) =>
                {
                    1
                }
                _ => continue,
            };
            let whole = parts[..parts.len() - dated].join("/");
            self.map.remarks.push(format!(
                "the prefix `{folder}` ends within a date, so objects of other days are never read; write prefix = \"{whole}\""
            ));
        }
    }

    /// Looks into the folders of `level` and into those below.
    async fn search(&mut self, mut level: Vec<Listing>) {
        let mut visited = level.len();
        for _ in 0..FOLDER_DEPTH_MAX {
            let (mut next, mut year_like) = (Vec::new(), Vec::new());
            for (folder, listed) in level {
                let Some(listed) = self.listed(&folder, listed) else { continue };
                let (numbers, others): (Vec<Path>, Vec<Path>) = listed
                    .common_prefixes
                    .into_iter()
                    .partition(|path| path.filename().is_some_and(is_year));
                year_like.extend(numbers);
                next.extend(others);
            }
            self.sort_years(year_like, &mut next).await;
            // Where not every folder can be looked into, those of trails come first.
            next.sort_by_cached_key(|path| {
                (!path.parts().any(|part| part.as_ref() == TRAIL_FOLDER), path.to_string())
            });
            let room = FOLDERS_MAX.saturating_sub(visited);
            next.iter().skip(room).for_each(|path| self.map.unvisited.add(path));
            next.truncate(room);
            visited += next.len();
            if next.is_empty() {
                return;
            }
            level = self.list_all(next).await;
        }
        level.iter().for_each(|(folder, _)| self.map.unvisited.add(folder));
    }

    /// What lies in a folder, its objects counted; `None`, with the reason kept, where it could not be listed.
    fn listed(
        &mut self,
        folder: &Path,
        listed: object_store::Result<ListResult>,
    ) -> Option<ListResult> {
        match listed {
            Ok(listed) => {
                let with_content = listed.objects.iter().filter(|object| object.size > 0);
                with_content.for_each(|object| self.map.outside.add(&object.location));
                Some(listed)
            }
            Err(error) => {
                self.map.failed = Some(format!("`{folder}` could not be listed: {error}"));
                None
            }
        }
    }

    /// Tells years from other folders of four digits. What is no month below a year, and what lies below another folder, is
    /// added to `next`.
    async fn sort_years(&mut self, year_like: Vec<Path>, next: &mut Vec<Path>) {
        let (known, new): (Vec<Path>, Vec<Path>) =
            year_like.into_iter().partition(|path| self.years.contains(path));
        self.roots.extend(known.iter().map(parent));
        for (folder, listed) in self.list_all(new).await {
            let Some(listed) = self.listed(&folder, listed) else { continue };
            let (months, others): (Vec<Path>, Vec<Path>) =
                listed.common_prefixes.into_iter().partition(has_month_name);
            if !months.is_empty() {
                self.roots.insert(parent(&folder));
                self.years.insert(folder);
            }
            next.extend(others);
        }
    }
}

fn is_empty(listed: &ListResult) -> bool {
    listed.common_prefixes.is_empty() && listed.objects.iter().all(|object| object.size == 0)
}

/// The folder that `path` lies in; the root lies in itself.
fn parent(path: &Path) -> Path {
    let parts: Vec<_> = path.parts().collect();
    parts[..parts.len().saturating_sub(1)].iter().cloned().collect()
}

fn names<'p>(paths: impl ExactSizeIterator<Item = &'p Path>) -> String {
    let more = paths.len().saturating_sub(NAMES_MAX);
    let shown: Vec<String> = paths.take(NAMES_MAX).map(|path| format!("`{path}`")).collect();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn is_number(text: &str, length: usize, range: std::ops::RangeInclusive<u32>) -> bool {
    let digits = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    digits && text.parse().is_ok_and(|number| range.contains(&number))
}

fn is_year(text: &str) -> bool {
    is_number(text, 4, 1970..=9999)
}

fn is_month(text: &str) -> bool {
    is_number(text, 2, 1..=12)
}

fn is_day(text: &str) -> bool {
    is_number(text, 2, 1..=31)
}

fn has_month_name(path: &Path) -> bool {
    path.filename().is_some_and(is_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    const TRAIL: &str = "AliyunLogs/Actiontrail";

    /// The map of a bucket with an object under each of `keys`.
    async fn map_of(keys: &[&str], prefix: &str) -> BucketMap {
        let store = InMemory::new();
        for key in keys {
            store.put(&Path::from(*key), "x".into()).await.expect("stored");
        }
        discover(&store, prefix, &mut HashSet::new()).await.expect("listed")
    }

    fn texts(paths: &[Path]) -> Vec<&str> {
        paths.iter().map(AsRef::as_ref).collect()
    }

    #[tokio::test]
    async fn every_folder_is_looked_into_whatever_lies_beside_it() {
        let region = |above: &str| format!("{above}/cn-hangzhou");
        for (beside, above, prefix) in [
            // Other people's years, at the bucket's root, below the prefix, and in each folder of the trail.
            ("2026/11/29/report.txt", TRAIL, ""),
            ("AliyunLogs/2026/11/29/report.txt", TRAIL, "AliyunLogs"),
            ("AliyunLogs/Actiontrail/2026/11/29/report.txt", TRAIL, "AliyunLogs"),
            // Folders of four digits that are no years.
            ("2026/notes.txt", TRAIL, ""),
            ("1234/a/b.txt", TRAIL, ""),
            ("AliyunLogs/2024/scan/x", TRAIL, "AliyunLogs"),
            ("AliyunLogs/9999/x", TRAIL, "AliyunLogs/"),
            // Accounts of any length below a resource directory, and a year beside them.
            ("x/y", "AliyunLogs/Actiontrail/rd-Ab12/1", ""),
            ("x/y", "AliyunLogs/Actiontrail/rd-Ab12/2026", ""),
            (
                "AliyunLogs/Actiontrail/rd-Ab12/2026/11/29/z",
                "AliyunLogs/Actiontrail/rd-Ab12/1234",
                "",
            ),
            ("x/y", "AliyunLogs/Actiontrail/rd-Ab12/1234567890123456", "AliyunLogs"),
            // A prefix of several folders, and one of years.
            ("x/y", "a/b/c/d/AliyunLogs/Actiontrail", ""),
            ("x/y", "2025/AliyunLogs/Actiontrail", ""),
            ("2025/01/01/z", "2025/AliyunLogs/Actiontrail", "2025"),
        ] {
            let root = region(above);
            let object = format!("{root}/2026/11/29/o.gz");
            let map = map_of(&[beside, &object], prefix).await;
            assert!(texts(&map.roots).contains(&root.as_str()), "{beside} {prefix}: {map:?}");
            assert_eq!((map.has_content, map.failed), (Some(true), None));
        }
    }

    #[tokio::test]
    async fn several_roots_are_found_and_the_rest_is_counted() {
        let map = map_of(
            &[
                "AliyunLogs/Actiontrail/cn-hangzhou/2026/11/29/a",
                "AliyunLogs/Actiontrail/cn-beijing/2025/12/31/b",
                "old/AliyunLogs/Actiontrail/rd-x/77/cn-beijing/2024/01/01/c",
                "AliyunLogs/Actiontrail/notes.txt",
                "images/1.png",
                "images/2.png",
            ],
            "",
        )
        .await;
        let roots = [
            "AliyunLogs/Actiontrail/cn-beijing",
            "AliyunLogs/Actiontrail/cn-hangzhou",
            "old/AliyunLogs/Actiontrail/rd-x/77/cn-beijing",
        ];
        assert_eq!(texts(&map.roots), roots);
        assert_eq!((map.outside.count, map.unvisited.count), (3, 0));
    }

    #[tokio::test]
    async fn a_prefix_may_end_within_a_name() {
        let object = "AliyunLogs/Actiontrail/cn-hangzhou/2026/11/29/Actiontrail_1.gz";
        for prefix in ["Ali", "AliyunLogs/Act", "AliyunLogs/Actiontrail/cn-"] {
            let map = map_of(&[object, "other/x"], prefix).await;
            assert_eq!(texts(&map.roots), ["AliyunLogs/Actiontrail/cn-hangzhou"], "{prefix}");
            assert!(map.remarks[0].contains("begin with it"), "{:?}", map.remarks);
        }
        let map =
            map_of(&[object], "AliyunLogs/Actiontrail/cn-hangzhou/2026/11/29/Actiontrail_").await;
        assert_eq!(map.loose.len(), 1);
        // The folder with exactly this name is meant, where there is one.
        let map = map_of(&["a/2026/01/01/x", "ab/2026/01/01/x"], "a").await;
        assert_eq!(texts(&map.roots), ["a"]);
        // With a slash at its end it names a folder.
        assert!(map_of(&[object], "Ali/").await.roots.is_empty());
    }

    #[tokio::test]
    async fn a_prefix_without_content_is_told_with_what_lies_beside_it() {
        let object = "AliyunLogs/Actiontrail/cn-hangzhou/2026/11/29/o.gz";
        for prefix in ["wrong", "AliyunLogs/Actiontrail/eu-none", "wrong/x/y", "AliyunLog/"] {
            let map = map_of(&[object], prefix).await;
            assert_eq!(map.has_content, Some(true), "{prefix}");
            assert!(map.roots.is_empty() && map.remarks[0].contains("`AliyunLogs"), "{map:?}");
        }
        let map = map_of(&[], "AliyunLogs").await;
        assert_eq!(
            (map.has_content, map.remarks[0].as_str()),
            (Some(false), "the bucket is empty")
        );
        assert_eq!(map_of(&[], "").await.has_content, Some(false));
    }

    #[tokio::test]
    async fn a_prefix_that_ends_within_a_date_is_told() {
        let object = "AliyunLogs/Actiontrail/cn-hangzhou/2026/11/29/o.gz";
        for date in ["2026", "2026/11", "2026/11/29"] {
            let map =
                map_of(&[object], &format!("AliyunLogs/Actiontrail/cn-hangzhou/{date}")).await;
            let told = "prefix = \"AliyunLogs/Actiontrail/cn-hangzhou\"";
            assert!(map.remarks.iter().any(|remark| remark.contains(told)), "{:?}", map.remarks);
        }
        assert!(map_of(&[object], "AliyunLogs").await.remarks.is_empty());
    }
}
