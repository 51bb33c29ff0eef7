{{ config(severity='warn') }}
-- If reports differ for an advertiser's day, one stream is behind the others.
{% set reports = ['criteo__account_report', 'criteo__campaign_report', 'criteo__ad_group_report', 'criteo__ad_report'] %}
with days as (
    {% for report in reports %}
    select '{{ report }}' as report, date_day, account_id, currency, sum(clicks) as clicks, sum(spend) as spend
    from {{ ref(report) }}
    group by date_day, account_id, currency
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select date_day, account_id, currency, count(*) as reports, min(spend) as least_spend, max(spend) as most_spend
from days
group by date_day, account_id, currency
having count(*) <> {{ reports | length }}
    or min(clicks) <> max(clicks)
    -- Every row is rounded separately.
    or max(spend) - min(spend) > 0.01 + max(spend) / 1000000
