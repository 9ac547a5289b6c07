# What the roles of GitHub Actions need for custom domains. Without domains, they need nothing of it.
# Actions and resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagementv2.html

locals {
  domain_names = distinct([for domain in values(var.domains) : domain.name])
  # Terraform requests certificates for these, and validates them in the hosted zone.
  requested_names  = distinct([for domain in values(var.domains) : domain.name if domain.certificate_arn == null])
  zone_ids         = distinct([for domain in values(var.domains) : domain.hosted_zone_id if domain.hosted_zone_id != null])
  domain_arns      = [for name in local.domain_names : "${local.domain_names_arn}/${name}"]
  domain_names_arn = "${local.arn}:apigateway:${var.region}::/domainnames"
  certificates_arn = "${local.arn}:acm:${var.region}:${local.account}:certificate/*"
  zone_arns        = [for id in local.zone_ids : "${local.arn}:route53:::hostedzone/${id}"]
  has_domains      = length(local.domain_names) > 0
  zones            = length(local.zone_ids) > 0 ? ["zones"] : []
  requests         = length(local.requested_names) > 0 ? ["certificates"] : []
}

# Every role refreshes the state. If the state is lost, the commands look for the domains of the API.
data "aws_iam_policy_document" "read_domains" {
  statement {
    sid       = "ReadDomains"
    actions   = ["apigateway:GET"]
    resources = concat([local.domain_names_arn], local.domain_arns, formatlist("%s/*", local.domain_arns))
  }

  # ACM chooses the ID of a certificate, so the service's tag identifies it.
  dynamic "statement" {
    for_each = local.requests

    content {
      sid       = "ReadCertificates"
      actions   = ["acm:DescribeCertificate", "acm:ListTagsForCertificate"]
      resources = [local.certificates_arn]

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceTag/Service"
        values   = [var.name]
      }
    }
  }

  dynamic "statement" {
    for_each = local.zones

    content {
      sid       = "ReadRecords"
      actions   = ["route53:GetHostedZone", "route53:ListResourceRecordSets"]
      resources = local.zone_arns
    }
  }
}

data "aws_iam_policy_document" "domains" {
  # The request contains the name of a new domain, and the ARN does not.
  statement {
    sid       = "CreateDomains"
    actions   = ["apigateway:POST", "apigateway:TagResource"]
    resources = [local.domain_names_arn]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Service"
      values   = [var.name]
    }
  }

  statement {
    sid = "ManageDomains"
    actions = [
      "apigateway:DELETE",
      "apigateway:PATCH",
      "apigateway:POST",
      "apigateway:TagResource",
      "apigateway:UntagResource",
    ]
    resources = concat(local.domain_arns, formatlist("%s/*", local.domain_arns))
  }

  statement {
    sid       = "TagDomains"
    actions   = ["apigateway:DELETE", "apigateway:POST", "apigateway:PUT"]
    resources = [for arn in local.domain_arns : "${local.arn}:apigateway:${var.region}::/tags/${urlencode(arn)}"]
  }

  # https://docs.aws.amazon.com/acm/latest/userguide/acm-conditions.html
  dynamic "statement" {
    for_each = local.requests

    content {
      sid       = "RequestCertificates"
      actions   = ["acm:RequestCertificate"]
      resources = [local.certificates_arn]

      condition {
        test     = "ForAllValues:StringEquals"
        variable = "acm:DomainNames"
        values   = local.requested_names
      }

      condition {
        test     = "StringEquals"
        variable = "acm:ValidationMethod"
        values   = ["DNS"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:RequestTag/Service"
        values   = [var.name]
      }
    }
  }

  dynamic "statement" {
    for_each = local.requests

    content {
      sid       = "ManageCertificates"
      actions   = ["acm:AddTagsToCertificate", "acm:DeleteCertificate", "acm:RemoveTagsFromCertificate"]
      resources = [local.certificates_arn]

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceTag/Service"
        values   = [var.name]
      }
    }
  }

  # The record of each domain, and the record that validates its certificate: no others of the zone.
  # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-rrset-conditions.html
  # https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
  dynamic "statement" {
    for_each = local.zones

    content {
      sid       = "ManageAliasRecords"
      actions   = ["route53:ChangeResourceRecordSets"]
      resources = local.zone_arns

      condition {
        test     = "ForAllValues:StringEquals"
        variable = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
        values   = local.domain_names
      }

      condition {
        test     = "ForAllValues:StringEquals"
        variable = "route53:ChangeResourceRecordSetsRecordTypes"
        values   = ["A"]
      }
    }
  }

  dynamic "statement" {
    for_each = local.requests

    content {
      sid       = "ManageValidationRecords"
      actions   = ["route53:ChangeResourceRecordSets"]
      resources = local.zone_arns

      condition {
        test     = "ForAllValues:StringLike"
        variable = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
        values   = formatlist("_*.%s", local.requested_names)
      }

      condition {
        test     = "ForAllValues:StringEquals"
        variable = "route53:ChangeResourceRecordSetsRecordTypes"
        values   = ["CNAME"]
      }
    }
  }

  # The provider waits until a change of a record is effective. Route 53 chooses the ID of the change.
  dynamic "statement" {
    for_each = local.zones

    content {
      sid       = "WaitForRecords"
      actions   = ["route53:GetChange"]
      resources = ["${local.arn}:route53:::change/*"]
    }
  }
}

resource "aws_iam_role_policy" "read_domains" {
  for_each = local.has_domains ? local.roles : toset([])

  name   = "read-domains"
  role   = aws_iam_role.github[each.key].name
  policy = data.aws_iam_policy_document.read_domains.json
}

# A policy of its own, because the size of the others is limited.
resource "aws_iam_policy" "domains" {
  count = local.has_domains && var.github_repository != null ? 1 : 0

  name        = "${var.name}-domains"
  description = "Change the custom domains of ${var.name}"
  policy      = data.aws_iam_policy_document.domains.json
}

resource "aws_iam_role_policy_attachment" "domains" {
  count = length(aws_iam_policy.domains)

  role       = aws_iam_role.github["infrastructure"].name
  policy_arn = aws_iam_policy.domains[0].arn
}
