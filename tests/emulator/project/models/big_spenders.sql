{{ config(schema='reporting', secure=true) }}

select customer from {{ ref('customers') }} where spent > 15
