--! title = { en = "Findings, the gravest first", zh = "检测结果（最严重者在前）" }
--! about = { en = "Each open finding of the period: who, from where, on what, and why it is one.", zh = "本期每条未关闭的检测结果：谁、从哪里、对什么、为什么。" }
--! empty = { en = "No finding in this period.", zh = "本期没有检测结果。" }
SELECT severity, first_seen, rule_id, title AS title_en, title_zh, coalesce(user_name, principal_id) AS operator, source_ip_address,
       array_to_string(why, '; ') AS why,
       -- A burst can have hundreds of targets; the finding's id leads to all of them.
       array_to_string(array_slice(targets, 1, 12), ', ') || CASE WHEN cardinality(targets) > 12 THEN ' (+' || CAST(cardinality(targets) - 12 AS VARCHAR) || ')' ELSE '' END AS targets,
       account_id, user_type, access_key_id,
       array_to_string(actions, ', ') AS actions, count AS events, array_to_string(unknowns, ', ') AS unknowns, finding_id
FROM findings WHERE status = 'open' AND first_seen >= $since AND first_seen < $until
ORDER BY CASE severity WHEN 'critical' THEN 5 WHEN 'high' THEN 4 WHEN 'medium' THEN 3 WHEN 'low' THEN 2 ELSE 1 END DESC, first_seen, finding_id
