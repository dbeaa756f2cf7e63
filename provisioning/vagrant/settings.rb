# frozen_string_literal: true

require "ipaddr"

module CrudMaster
  # An error in the variables, reported in one sentence and without a traceback.
  class SettingsError < Vagrant::Errors::VagrantError
    def initialize(sentence)
      @sentence = sentence
      super()
    end

    def error_message
      @sentence
    end
  end

  # The variables of .env, or of .env.example without one; the environment wins. The services check the values.
  # Vagrant checks only that lines are well formed, and the values that it uses itself.
  class Settings
    LINE = /\A\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(?:'([^']*)'\s*(?:#.*)?|"([^"]*)"\s*(?:#.*)?|(.*?)\s*(?:(?<=\s)#.*)?)\z/
    # the commands that name the file of the variables, and warn if others can read it
    CHATTY = %w[up reload provision validate].freeze
    READ_BY_OTHERS = 0o044

    def self.read(root, topology)
      new(file(root), parse(File.join(root, ".env.example")).keys, topology)
    end

    # The value of TOPOLOGY, which says which file the topology is.
    def self.topology(root)
      ENV["TOPOLOGY"] || parse(file(root))["TOPOLOGY"].to_s
    end

    def self.file(root)
      own = File.join(root, ".env")
      File.exist?(own) ? own : File.join(root, ".env.example")
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

    def initialize(path, required, topology)
      @path = path
      @file = File.basename(path)
      written = self.class.parse(path)
      names = written.keys | required | topology.optional | topology.defaults.keys
      # a port or an address that .env.example lacks has the default of topology.yml
      defaults = topology.defaults.reject { |name, _| written.key?(name) || required.include?(name) }
      @values = names.to_h { |name| [name, ENV[name] || written[name] || defaults[name].to_s] }
      check(required)
      report_source if (ARGV & CHATTY).any?
    end

    def [](name)
      @values.fetch(name)
    end

    # The variables for every machine: all except secrets.
    def public_names
      @values.keys.reject { |name| name.match?(Topology::SECRET) || @values[name].empty? }
    end

    # Lines NAME=value of variables with a value, in base64.
    def encoded(names)
      names = names.reject { |name| @values.fetch(name).empty? }
      [names.map { |name| "#{name}=#{@values.fetch(name)}\n" }.join].pack("m0")
    end

    private

    def check(required)
      missing = required.select { |name| @values[name].empty? }
      refuse "lacks #{missing.join(', ')}: copy the line from .env.example and adapt it" if missing.any?
      @values.each { |name, value| check_characters(name, value) }
      addresses = named(/_(VM_IP|VIP)\z/).each { |name, value| check_address(name, value) }
      named(/_PORT\z/).each { |name, value| check_port(name, value) }
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

    def check_port(name, value)
      good = value.match?(/\A\d{1,5}\z/) && value.to_i.between?(1, 65_535)
      refuse "has #{name}=#{value}, which is no port from 1 to 65535" unless good
    end

    def check_distinct(values, kind)
      same = values.group_by { |_name, value| value }.values.find { |pairs| pairs.size > 1 }
      refuse "gives #{same.map(&:first).join(' and ')} the same #{kind}, #{same[0][1]}" if same
    end

    def refuse(what)
      raise SettingsError, "#{@file} (or the environment) #{what}."
    end

    # Only once in a command: Vagrant reads the Vagrantfile several times.
    def report_source
      return if $crud_master_source_reported

      $crud_master_source_reported = true
      return $stderr.puts("There is no .env: the variables are those of .env.example.") if @file != ".env"

      warn_of_readers
    end

    # Windows has no file modes: Ruby always shows the file as readable there.
    def warn_of_readers
      return if Vagrant::Util::Platform.windows? || (File.stat(@path).mode & READ_BY_OTHERS).zero?

      $stderr.puts "#{@path} holds passwords, and other users of this machine can read it: chmod 600 #{@path}"
    end
  end
end
