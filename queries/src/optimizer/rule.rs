//! A physical optimizer rule that replaces single nodes of a plan.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// The node that replaces another; `None` where the node stays.
pub(crate) type Replacement = Option<Arc<dyn ExecutionPlan>>;

/// An optimizer rule: a name, and a function that may replace a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OptimizerRule {
    pub(crate) name: &'static str,
    pub(crate) replace:
        fn(&Arc<dyn ExecutionPlan>, &ConfigOptions) -> Result<Replacement, DataFusionError>,
}

impl PhysicalOptimizerRule for OptimizerRule {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let replace = |node: Arc<dyn ExecutionPlan>| match (self.replace)(&node, config)? {
            Some(replacement) => Ok(Transformed::yes(replacement)),
            None => Ok(Transformed::no(node)),
        };
        Ok(plan.transform_up(replace)?.data)
    }

    fn name(&self) -> &str {
        self.name
    }

    fn schema_check(&self) -> bool {
        true
    }
}
