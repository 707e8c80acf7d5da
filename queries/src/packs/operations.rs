//! The operations of the vendor and the names of their parameters, from its public API metadata. That an operation is here
//! proves that it exists, not that the trail writes it so. Some services are missing: OSS, SMS, light servers and sign-in.

use serde::Deserialize;
use std::cmp::Ordering;
use std::sync::OnceLock;

/// The operations as `scripts/operations` packs them: a comment, then sorted lines.
const FILE: &str = include_str!("../../operations/operations.tsv");
/// Service names of events that differ from product codes.
const SERVICES: &str = include_str!("../../operations/services.toml");

/// The vendor's operations. The text stays packed as it is in the program; only the start of each line is kept beside it.
///
/// ```
/// use trailhound_queries::packs::operations::Operations;
///
/// let operations = Operations::built_in();
/// assert_eq!(operations.has_parameter("Ecs", "stopinstance", "DryRun"), Some(true));
/// assert_eq!(operations.has_parameter("Aegis", "pauseclient", "DryRun"), Some(false));
/// assert_eq!(operations.has_parameter("Oss", "putbucketacl", "DryRun"), None);
/// ```
#[derive(Debug)]
pub struct Operations {
    text: &'static str,
    /// Where each line of an operation starts in the text.
    starts: Vec<u32>,
    services: Vec<ServiceName>,
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Product code, such as `ecs`.
    pub product: &'static str,
    /// Name, such as `StopInstance`.
    pub name: &'static str,
    /// Names of the parameters, joined by commas.
    parameters: &'static str,
}

/// A service name of events that differs from the product code.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceName {
    /// The name in events, in lower case.
    name: String,
    /// Product codes.
    products: Vec<String>,
    /// How this is known.
    #[allow(dead_code, reason = "for readers of the file")]
    source: String,
}

/// The file of service names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceNames {
    #[allow(dead_code, reason = "for readers of the file")]
    version: String,
    services: Vec<ServiceName>,
}

impl Operation {
    /// Names of the parameters.
    pub fn parameters(self) -> impl Iterator<Item = &'static str> {
        self.parameters.split(',').filter(|name| !name.is_empty())
    }

    /// True where the operation has the parameter: without regard to case, white space and numbers of list elements. A list
    /// or structure stands for its members: `Permissions` for `Permissions.1.Policy`.
    #[must_use]
    pub fn has_parameter(self, parameter: &str) -> bool {
        self.parameters().any(|known| is_same_parameter(known, parameter))
    }
}

impl Operations {
    /// The operations that come with the product.
    ///
    /// # Panics
    /// Where a file of the product is invalid, which a test excludes.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static OPERATIONS: OnceLock<Operations> = OnceLock::new();
        OPERATIONS.get_or_init(|| Self::new(FILE).expect("the files of the product are valid"))
    }

    fn new(text: &'static str) -> Result<Self, String> {
        let mut starts = Vec::new();
        let mut start: usize = 0;
        for line in text.split_inclusive('\n') {
            if !line.starts_with('#') {
                starts.push(u32::try_from(start).map_err(|e| e.to_string())?);
            }
            start += line.len();
        }
        let services: ServiceNames = toml::from_str(SERVICES).map_err(|e| e.to_string())?;
        Ok(Self { text, starts, services: services.services })
    }

    /// Number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The operation of the line with this number.
    fn operation(&self, index: usize) -> Operation {
        let start = self.starts[index] as usize;
        let line = self.text[start..].lines().next().unwrap_or_default();
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        Operation { product: next(), name: next(), parameters: next() }
    }

    /// All operations, by product and name.
    pub fn all(&self) -> impl Iterator<Item = Operation> {
        (0..self.starts.len()).map(|index| self.operation(index))
    }

    /// The product codes of the service that events call `service`.
    #[must_use]
    pub fn products_of<'s>(&'s self, service: &'s str) -> Vec<&'s str> {
        let service = service.trim();
        match self.services.iter().find(|known| known.name.eq_ignore_ascii_case(service)) {
            Some(known) => known.products.iter().map(String::as_str).collect(),
            None => vec![service],
        }
    }

    /// The operations of a service of events, in the order of their names.
    pub fn of_service<'s>(&'s self, service: &'s str) -> impl Iterator<Item = Operation> + 's {
        self.products_of(service).into_iter().flat_map(|product| self.of_product(product))
    }

    fn of_product<'s>(&'s self, product: &'s str) -> impl Iterator<Item = Operation> + 's {
        let first = self.first(product, "");
        (first..self.starts.len())
            .map(|index| self.operation(index))
            .take_while(move |operation| operation.product.eq_ignore_ascii_case(product))
    }

    /// The operations that events with this service and this action can be: none where the operation is unknown, several
    /// where the service has several versions of its API.
    pub fn find<'s>(
        &'s self,
        service: &'s str,
        action: &'s str,
    ) -> impl Iterator<Item = Operation> + 's {
        let action = action.trim();
        self.products_of(service).into_iter().filter_map(move |product| {
            let index = self.first(product, action);
            let found = (index < self.starts.len()).then(|| self.operation(index))?;
            let is_it = found.product.eq_ignore_ascii_case(product)
                && found.name.eq_ignore_ascii_case(action);
            is_it.then_some(found)
        })
    }

    /// Names of the parameters of an operation; `None` where the operation is unknown.
    #[must_use]
    pub fn parameters(&self, service: &str, action: &str) -> Option<Vec<&'static str>> {
        let mut found = self.find(service, action).peekable();
        found.peek()?;
        let mut names: Vec<&str> = found.flat_map(Operation::parameters).collect();
        names.sort_unstable();
        names.dedup();
        Some(names)
    }

    /// Whether an operation has a parameter, as [`Operation::has_parameter`] says; `None` where the operation is unknown.
    #[must_use]
    pub fn has_parameter(&self, service: &str, action: &str, parameter: &str) -> Option<bool> {
        let mut found = self.find(service, action).peekable();
        found.peek()?;
        Some(found.any(|operation| operation.has_parameter(parameter)))
    }

    /// Index of the first operation at or behind this product and name.
    fn first(&self, product: &str, name: &str) -> usize {
        let before = |index: usize| {
            let operation = self.operation(index);
            compare(operation.product, product).then_with(|| compare(operation.name, name))
                == Ordering::Less
        };
        let (mut from, mut to) = (0, self.starts.len());
        while from < to {
            let middle = usize::midpoint(from, to);
            if before(middle) { from = middle + 1 } else { to = middle }
        }
        from
    }
}

/// Compares two names in lower case.
fn compare(a: &str, b: &str) -> Ordering {
    let lower = |byte: u8| byte.to_ascii_lowercase();
    a.bytes().map(lower).cmp(b.bytes().map(lower))
}

/// True where both names are of one parameter, or one is the list or structure that holds the other.
pub(super) fn is_same_parameter(a: &str, b: &str) -> bool {
    let (a, b) = (plain_path(a), plain_path(b));
    !a.is_empty() && !b.is_empty() && a.iter().zip(&b).all(|(a, b)| a == b)
}

/// The steps of a parameter's name in lower case, without white space and numbers: `Tag.1.Key` is `tag`, `key`.
fn plain_path(name: &str) -> Vec<String> {
    let plain = |step: &str| -> String {
        step.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
    };
    let is_number = |step: &String| !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit());
    name.split('.').map(plain).filter(|step| !step.is_empty() && !is_number(step)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packed_file_is_sorted_and_whole() {
        let operations = Operations::built_in();
        assert!(operations.len() > 16_000, "{}", operations.len());
        let all: Vec<Operation> = operations.all().collect();
        for pair in all.windows(2) {
            let order =
                compare(pair[0].product, pair[1].product).then(compare(pair[0].name, pair[1].name));
            assert_eq!(order, Ordering::Less, "{pair:?}");
        }
        for operation in all {
            assert!(!operation.product.is_empty() && !operation.name.is_empty(), "{operation:?}");
            let action = operation.name.to_lowercase();
            assert!(
                operations.find(operation.product, &action).any(|found| found == operation),
                "{operation:?}"
            );
        }
    }

    #[test]
    fn every_service_name_has_a_source_and_products_that_exist() {
        let operations = Operations::built_in();
        for service in &operations.services {
            assert_eq!(service.name, service.name.to_lowercase());
            assert!(service.source.len() > 20, "{}", service.name);
            for product in &service.products {
                assert!(operations.of_product(product).next().is_some(), "{product}");
            }
        }
    }

    #[test]
    fn operations_are_found_by_service_and_action_in_any_case() {
        let operations = Operations::built_in();
        let found = operations.parameters(" ECS ", "StopInstance").expect("an operation");
        assert!(found.contains(&"ForceStop") && found.contains(&"DryRun"), "{found:?}");
        assert_eq!(operations.parameters("ecs", "stopinstanc"), None);
        assert_eq!(operations.parameters("zzz", "stopinstance"), None);
        assert_eq!(operations.parameters("", ""), None);
        assert_eq!(operations.parameters("aassub", "consolesignin"), None);
        assert!(operations.parameters("ResourceManager", "createrole").is_some());
        assert_eq!(operations.of_service("ecs").next().map(|first| first.product), Some("ecs"));
        assert_eq!(operations.of_service("oss").count(), 0);
    }

    #[test]
    fn parameters_are_compared_by_their_plain_path() {
        let operation = Operation {
            product: "ecs",
            name: "X",
            parameters: "Permissions,SystemDisk.Size,DryRun,Filter.1.Key",
        };
        for (name, expected) in [
            ("dryrun", true),
            (" Dry Run", true),
            ("DryRun.1", true),
            ("Permissions.1.Policy", true),
            ("SystemDisk", true),
            ("SystemDisk.size", true),
            ("SystemDisk.Category", false),
            ("Filter.2.Key", true),
            ("DryRunX", false),
            ("", false),
            ("1", false),
        ] {
            assert_eq!(operation.has_parameter(name), expected, "{name}");
        }
    }
}
