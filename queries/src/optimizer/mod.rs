//! Rules of the physical optimizer that the product adds to the query engine's. Each replaces single
//! nodes of a plan, bottom-up, by nodes with the same result.

mod bloom_pruning;
mod dictionary_aggregate;
mod rule;
mod time_filter;

use rule::OptimizerRule;

/// Every rule, in the order in which they run.
pub(crate) const RULES: [OptimizerRule; 3] =
    [bloom_pruning::RULE, time_filter::RULE, dictionary_aggregate::RULE];
