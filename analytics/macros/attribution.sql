{# The configured attribution, or an error that lists the available ones. #}
{% macro criteo_attribution() %}
    {%- set known = ['client_attribution', 'pc30d', 'pc7d', 'pc1d', 'pv24h', 'pc30d_pv24h', 'all_client_attribution', 'all_pc30d'] -%}
    {%- set attribution = var('criteo_attribution') -%}
    {%- if attribution not in known -%}
        {{ exceptions.raise_compiler_error("criteo_attribution is '" ~ attribution ~ "'; it must be one of " ~ known | join(', ')) }}
    {%- endif -%}
    {{- attribution -}}
{% endmacro %}
