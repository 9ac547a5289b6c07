# The key of the notifications topic. If it is created here, no role of GitHub Actions needs to change a key policy:
# whoever can change the policies of keys that tags identify, and tag keys, can take over every key of the account.

locals {
  creates_topic_key = var.create_topic_key == null ? var.github_repository != null : var.create_topic_key
}

resource "aws_kms_key" "topic" {
  count = local.creates_topic_key ? 1 : 0

  description             = "Encrypts the topic ${local.topic_name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.topic_key.json

  lifecycle {
    # Without the key, nobody is notified.
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "topic" {
  count = local.creates_topic_key ? 1 : 0

  name          = "alias/${var.name}-topic"
  target_key_id = aws_kms_key.topic[0].key_id
}

data "aws_iam_policy_document" "topic_key" {
  # The account as principal lets the policies of administrators permit this. It permits nothing by itself. If the key
  # policy does not include the account, the key becomes unmanageable.
  # https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-default-allow-root-enable-iam
  statement {
    sid = "ManageKey"
    actions = [
      "kms:CancelKeyDeletion",
      "kms:CreateAlias",
      "kms:DeleteAlias",
      "kms:DescribeKey",
      "kms:DisableKey",
      "kms:EnableKey",
      "kms:EnableKeyRotation",
      "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus",
      "kms:ListResourceTags",
      "kms:PutKeyPolicy",
      "kms:ScheduleKeyDeletion",
      "kms:TagResource",
      "kms:UntagResource",
      "kms:UpdateAlias",
      "kms:UpdateKeyDescription",
    ]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["${local.arn}:iam::${local.account}:root"]
    }
  }

  # The roles of releases publish. SNS names the topic whenever it uses the key on behalf of a publisher.
  # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#sns-what-permissions-for-sse
  statement {
    sid       = "DelegateUseForTopic"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["${local.arn}:iam::${local.account}:root"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:sns:topicArn"
      values   = local.topic_arns
    }
  }

  # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
  statement {
    sid       = "UseKeyFromAlarms"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}
