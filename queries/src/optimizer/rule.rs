//! A rule of the physical optimizer that replaces single nodes of a plan.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// What is to stand in the place of a step; nothing where it stays.
pub(crate) type Replacement = Option<Arc<dyn ExecutionPlan>>;

/// A rule of the optimizer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OptimizerRule {
    pub(crate) name: &'static str,
    pub(crate) instead:
        fn(&Arc<dyn ExecutionPlan>, &ConfigOptions) -> Result<Replacement, DataFusionError>,
}

impl PhysicalOptimizerRule for OptimizerRule {
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
