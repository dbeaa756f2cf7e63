# frozen_string_literal: true

require "ipaddr"

module CrudMaster
  # What is wrong with the variables, in one sentence and without a traceback.
  class SettingsError < Vagrant::Errors::VagrantError
    def initialize(sentence)
      @sentence = sentence
      super()
    end

    def error_message
      @sentence
    end
  end

  # The variables: from .env, or .env.example where there is none; the environment wins.
  class Settings
    LINE = /\A\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(?:'([^']*)'\s*(?:#.*)?|"([^"]*)"\s*(?:#.*)?|(.*?)\s*(?:(?<=\s)#.*)?)\z/
    SECRET = /_(PASSWORD|TOKEN)\z/
    # without a default, but from the environment, too
    OPTIONAL = %w[SMTP_HOST SMTP_PORT SMTP_TLS SMTP_USER SMTP_PASSWORD TRUSTED_PROXIES CORS_ORIGINS
      ALLOWED_HOSTS].freeze
    LIMIT = %r{\A\s*(?:none|[1-9]\d{0,8}/(?:second|minute|hour|day))\s*\z}i
    ORIGIN = %r{\Ahttps?://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[1-9]\d{0,4})?\z}i
    HOST = /\A[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\z/i
    # what the services' own settings take at most
    MOST = {
      "WORKERS" => 64, "THREADS" => 256,
      "KEPT_HOURS" => 8760, "KEPT_ROWS" => 10_000_000, "KEPT_DAYS" => 3650
    }.freeze
    SECONDS = { "EVENT_PUBLISH_TIMEOUT_SECONDS" => 30, "ORDERS_RESEND_AFTER_SECONDS" => 86_400 }.freeze
    # the commands that say where the variables come from, and who can read them
    CHATTY = %w[up reload provision validate].freeze
    READ_BY_OTHERS = 0o044
    PROTECTED = %w[movies products billing customers orders events platform].freeze

    def self.read(root)
      own = File.join(root, ".env")
      example = File.join(root, ".env.example")
      new(File.exist?(own) ? own : example, parse(example).keys)
    end

    # Comments, blank lines, quotes and `export` as in a shell.
    def self.parse(path)
      lines = File.read(path, encoding: "bom|utf-8").lines.map(&:strip)
      lines.each.with_index(1).with_object({}) do |(line, number), values|
        next if line.empty? || line.start_with?("#")

        match = LINE.match(line)
        raise SettingsError, "#{File.basename(path)}, line #{number} is not NAME=value." unless match

        values[match[1]] = match[2] || match[3] || match[4]
      end
    end

    def initialize(path, required)
      @path = path
      @file = File.basename(path)
      written = self.class.parse(path)
      names = written.keys | required | OPTIONAL
      @values = names.to_h { |name| [name, ENV[name] || written[name].to_s] }
      check(required)
      report_source if (ARGV & CHATTY).any?
    end

    def [](name)
      @values.fetch(name)
    end

    # What every machine may know.
    def public_names
      @values.keys.reject { |name| name.match?(SECRET) || @values[name].empty? }
    end

    # Lines NAME=value, in base64; of what has a value.
    def encoded(names)
      names = names.reject { |name| @values.fetch(name).empty? }
      [names.map { |name| "#{name}=#{@values.fetch(name)}\n" }.join].pack("m0")
    end

    private

    def check(required)
      missing = required.select { |name| @values[name].empty? }
      refuse "lacks #{missing.join(', ')}: copy the line from .env.example and adapt it" if missing.any?
      @values.each { |name, value| check_characters(name, value) }
      addresses = named(/_VM_IP\z/).each { |name, value| check_address(name, value) }
      named(/_PORT\z/).each { |name, value| check_whole(name, value, 65_535, "port") }
      MOST.each { |field, most| named(/_#{field}\z/).each { |name, value| check_whole(name, value, most) } }
      named(/_STRICT\z/).each { |name, value| check_switch(name, value) }
      named(/_SECONDS\z/).each { |name, value| check_seconds(name, value) }
      check_tokens
      check_edge
      check_mail
      check_distinct(addresses, "address")
      check_distinct(named(/_FORWARDED_PORT\z/), "port")
    end

    def named(pattern)
      @values.select { |name, value| name.match?(pattern) && !value.empty? }
    end

    def check_characters(name, value)
      return unless value.match?(/['\\\n]|\$\{/)

      refuse "has #{name} with a single quote, a backslash, a line end or ${, which it may not hold"
    end

    def check_address(name, value)
      good = value.match?(/\A\d+(\.\d+){3}\z/) && IPAddr.new(value)
      refuse "has #{name}=#{value}, which is no IPv4 address" unless good
    rescue IPAddr::Error
      refuse "has #{name}=#{value}, which is no IPv4 address"
    end

    def check_whole(name, value, most, what = "whole number")
      good = value.match?(/\A\d{1,9}\z/) && value.to_i.between?(1, most)
      refuse "has #{name}=#{value}, which is no #{what} from 1 to #{most}" unless good
    end

    def check_switch(name, value)
      refuse "has #{name}=#{value}, which is neither true nor false" unless %w[true false].include?(value)
    end

    def check_seconds(name, value)
      most = SECONDS.fetch(name)
      good = value.match?(/\A\d+(\.\d+)?\z/) && value.to_f.positive? && value.to_f <= most
      refuse "has #{name}=#{value}, which is no number of seconds above 0, #{most} at most" unless good
    end

    def check_tokens
      words = @values["AUTH_PROTECTED"].downcase.split(",", -1).map(&:strip)
      good = [%w[all], %w[none]].include?(words) || (words - PROTECTED).empty?
      what = "has AUTH_PROTECTED=#{@values['AUTH_PROTECTED']}, which is neither all nor none nor a list of "
      refuse what + PROTECTED.join(",") unless good
      good = @values["API_TOKEN"].match?(/\A[\x21-\x7e]{8,512}\z/)
      refuse "has an API_TOKEN that is not 8 to 512 visible ASCII characters" unless good
    end

    def check_edge
      named(/\ARATE_LIMIT_/).each do |name, value|
        refuse "has #{name}=#{value}, which is neither none nor NUMBER/second, /minute, /hour or /day" unless value.match?(LIMIT)
      end
      words = words_of("TRUSTED_PROXIES")
      refuse "has TRUSTED_PROXIES=#{words.join(',')}, which is no list of addresses and networks" unless words.all? { |word| network?(word) }
      words = words_of("CORS_ORIGINS")
      good = words == ["*"] || words.all? { |word| word.match?(ORIGIN) }
      refuse "has CORS_ORIGINS=#{words.join(',')}, which is neither * nor a list of origins" unless good
      words = words_of("ALLOWED_HOSTS")
      refuse "has ALLOWED_HOSTS=#{words.join(',')}, which is no list of host names without ports" unless words.all? { |word| word.match?(HOST) }
    end

    def words_of(name)
      @values[name].split(",", -1).map(&:strip)
    end

    def network?(word)
      network = IPAddr.new(word)
      !word.include?("%") && (!word.include?("/") || network.to_s == word.split("/").first.downcase)
    rescue IPAddr::Error
      false
    end

    def check_mail
      encryption = @values["SMTP_TLS"]
      good = ["", "none", "starttls", "tls"].include?(encryption)
      refuse "has SMTP_TLS=#{encryption}, which is neither none nor starttls nor tls" unless good
      user, password = @values.values_at("SMTP_USER", "SMTP_PASSWORD").map(&:empty?)
      refuse "has only one of SMTP_USER and SMTP_PASSWORD: give both, or none" unless user == password
      open = ["", "none"].include?(encryption) && !password
      refuse "has SMTP_PASSWORD, for which SMTP_TLS has to be starttls or tls" if open
    end

    def check_distinct(values, kind)
      same = values.group_by { |_name, value| value }.values.find { |pairs| pairs.size > 1 }
      refuse "gives #{same.map(&:first).join(' and ')} the same #{kind}, #{same[0][1]}" if same
    end

    def refuse(what)
      raise SettingsError, "#{@file} (or the environment) #{what}."
    end

    # Once a command: Vagrant reads the Vagrantfile several times.
    def report_source
      return if $crud_master_source_reported

      $crud_master_source_reported = true
      return $stderr.puts("There is no .env: the variables are those of .env.example.") if @file != ".env"

      warn_of_readers
    end

    # Windows has no such modes: there, Ruby always shows the file as readable.
    def warn_of_readers
      return if Vagrant::Util::Platform.windows? || (File.stat(@path).mode & READ_BY_OTHERS).zero?

      $stderr.puts "#{@path} holds passwords, and other users of this machine can read it: chmod 600 #{@path}"
    end
  end
end
