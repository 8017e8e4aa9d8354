"""Capitalised words that are no names of persons: months, products, places."""

from __future__ import annotations

import re

MONTHS = frozenset(
    re.findall(
        r"\w+",
        """
    january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec
    monday tuesday wednesday thursday friday saturday sunday spring summer autumn winter
    januar februar märz mai juni juli oktober dezember
    janvier février mars avril juin juillet août septembre octobre novembre décembre
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    """,
    )
)

PRODUCTS = frozenset(
    re.findall(
        r"\w+",
        """
    adobe acrobat airflow amazon analytics android angular ansible apache apple atlassian autocad aws azure bi blender
    cerner chrome cisco citrix confluence cucumber databricks debian django docker dynamics
    excel
    figma flask galaxy github gitlab gmail golang google hadoop hana hibernate hp hubspot ibm illustrator
    indesign intel
    ios ipad iphone java javascript jira kafka keras kotlin kubernetes laravel lenovo linux looker
    macos magento
    matlab microsoft mongodb mysql node nvidia office oracle outlook pandas perl photoshop php postgres postgresql
    powerpoint python pytorch quickbooks rails react redis revit rust salesforce samsung sap scala selenium
    servicenow sharepoint shopify siemens simulink sketch slack snowflake solidworks spark sqlite studio
    symfony tableau tensorflow terraform trello typescript ubuntu unix unreal visio visual vmware
    vue windows
    wordpress workday xero
    """,
    )
)

PLACES = frozenset(
    re.findall(
        r"\w[\w ]*\w",
        """
    england, scotland, wales, ireland, northern ireland, united kingdom, uk, usa, united states, canada, australia,
    new zealand, india, germany, deutschland, france, spain, italy, netherlands, belgium, austria,
    switzerland, poland,
    portugal, sweden, norway, denmark, finland, china, japan, singapore, nigeria, kenya, south africa, pakistan,
    bangladesh, philippines, mexico, brazil, alabama, alaska, arizona, arkansas, california, colorado, connecticut,
    delaware, florida, hawaii, idaho, illinois, indiana, iowa, kansas, kentucky, louisiana, maine, maryland,
    massachusetts, michigan, minnesota, mississippi, missouri, montana, nebraska, nevada, new hampshire, new jersey,
    new mexico, new york, north carolina, north dakota, ohio, oklahoma, oregon, pennsylvania, rhode island,
    south carolina, south dakota, tennessee, texas, utah, vermont, washington, west virginia, wisconsin, wyoming,
    yorkshire, kent, surrey, essex, lancashire, maharashtra, karnataka, tamil nadu, telangana, kerala,
    ontario, quebec,
    british columbia, alberta, bavaria, bayern, hessen, sachsen
    """,
    )
)
