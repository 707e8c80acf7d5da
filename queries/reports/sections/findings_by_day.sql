--! title = { en = "Findings over time", zh = "检测结果走势" }
--! about = { en = "Open findings by their first event.", zh = "未关闭的检测结果，按首个事件的时间。" }
--! empty = { en = "No finding in this period.", zh = "本期没有检测结果。" }
--! show = "bars"
--! series = ["critical", "high", "medium", "low", "info"]
SELECT date_bin(INTERVAL '15 minutes', first_seen) AS moment, severity AS series, count(*) AS value
FROM findings WHERE status = 'open' AND first_seen >= $since AND first_seen < $until
GROUP BY 1, 2 ORDER BY 1, 2
