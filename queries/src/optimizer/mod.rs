//! What is done to every plan of the engine: each step of it, from the sources up, may be put as another that gives the same.

mod bloom_pruning;
mod dictionary_aggregate;
mod rule;
mod time_filter;

use rule::OptimizerRule;

/// All of them, in the order in which they are done.
pub(crate) const RULES: [OptimizerRule; 3] =
    [bloom_pruning::RULE, time_filter::RULE, dictionary_aggregate::RULE];
