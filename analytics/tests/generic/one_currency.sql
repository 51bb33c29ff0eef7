{# Different currencies must not be added. Without `criteo_currency` there must be only one. With it, other currencies are
   excluded, which must not remove an advertiser's day. #}
{% test one_currency(model) %}
    {%- set wanted = var('criteo_currency') -%}
    {%- set query -%}
        select currency, count(*) as row_count, min(day) as first_day, max(day) as last_day
        from {{ model }} as found
        {% if wanted -%}
        where not exists (
            select 1 from {{ model }} as chosen
            where chosen.currency = '{{ wanted }}' and chosen.advertiser_id = found.advertiser_id and chosen.day = found.day
        )
        {%- else -%}
        where (select count(distinct currency) from {{ model }}) > 1
        {%- endif %}
        group by currency
        order by currency
    {%- endset -%}
    {#- dbt only prints a failing test's number of rows; this prints which. -#}
    {%- if execute and flags.WHICH in ('build', 'test') -%}
        {%- set currencies = run_query(query).columns['currency'].values() | join(', ') -%}
        {%- if currencies and wanted -%}
            {{ exceptions.raise_compiler_error(model.identifier ~ " has days that are not in " ~ wanted ~ " but only in "
                ~ currencies ~ ", and the reports would be without them. Load them in " ~ wanted ~ ".") }}
        {%- elif currencies -%}
            {{ exceptions.raise_compiler_error(model.identifier ~ " has money in several currencies, which cannot be added: "
                ~ currencies ~ ". Set criteo_currency to the one to report in.") }}
        {%- endif -%}
    {%- endif -%}
    {{ query }}
{% endtest %}
