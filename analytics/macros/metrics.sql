{# A statistics table's metrics, with the names used by ad reporting packages. #}
{% macro criteo_metrics() -%}
    cast(clicks as bigint) as clicks,
    cast(displays as bigint) as impressions,
    {{ criteo_exact('advertiser_cost') }} as spend,
    {{ criteo_exact('sales_' ~ criteo_attribution()) }} as conversions,
    {{ criteo_exact('revenue_generated_' ~ criteo_attribution()) }} as conversions_value
{%- endmacro %}

{# With precision and scale: a bare `numeric` has three decimal places in DuckDB. #}
{% macro criteo_exact(column) -%}
    cast({{ column }} as numeric(38, 9))
{%- endmacro %}

{# A report's metrics and derived ratios. #}
{% macro criteo_performance() -%}
    clicks,
    impressions,
    spend,
    conversions,
    conversions_value,
    {{ criteo_ratio('spend', 'clicks') }} as cpc,
    1000 * {{ criteo_ratio('spend', 'impressions') }} as cpm,
    {{ criteo_ratio('clicks', 'impressions') }} as ctr,
    {{ criteo_ratio('conversions_value', 'spend') }} as roas,
    {{ criteo_ratio('spend', 'conversions_value') }} as cos
{%- endmacro %}

{# Null for a division by zero. A bare `float` has single precision in DuckDB. #}
{% macro criteo_ratio(numerator, denominator) -%}
    cast({{ numerator }} as double precision) / nullif(cast({{ denominator }} as double precision), 0)
{%- endmacro %}

{# Distinguishes this source's rows where several sources are combined. #}
{% macro criteo_origin() -%}
    '{{ var("criteo_schema") }}' as source_relation,
    'criteo' as platform
{%- endmacro %}

{# Rows in the reporting currency. #}
{% macro criteo_in_currency() -%}
    {% if var('criteo_currency') %}where currency = '{{ var("criteo_currency") }}'{% endif %}
{%- endmacro %}
