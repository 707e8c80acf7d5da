//! What is done to every plan of the engine: each step of it, from the sources up, may be put as another that gives the same.

use crate::{coded_groups, leave_out, time_filters};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// All of them, in the order in which they are done.
pub(crate) const REWRITES: [Rewrite; 3] =
    [leave_out::REWRITE, time_filters::REWRITE, coded_groups::REWRITE];

/// What is to stand in the place of a step; nothing where it stays.
pub(crate) type Instead = Option<Arc<dyn ExecutionPlan>>;

/// A rule of the optimizer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rewrite {
    pub(crate) name: &'static str,
    pub(crate) instead:
        fn(&Arc<dyn ExecutionPlan>, &ConfigOptions) -> Result<Instead, DataFusionError>,
}

impl PhysicalOptimizerRule for Rewrite {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let rewrite = |step: Arc<dyn ExecutionPlan>| match (self.instead)(&step, config)? {
            Some(instead) => Ok(Transformed::yes(instead)),
            None => Ok(Transformed::no(step)),
        };
        Ok(plan.transform_up(rewrite)?.data)
    }

    fn name(&self) -> &str {
        self.name
    }

    fn schema_check(&self) -> bool {
        true
    }
}
